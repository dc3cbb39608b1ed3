"""Makes hedge.csv: oil's daily return beside the stock market's, one row for each trading day since 1999.

time    16:00 in New York, when the stock market closes: every feature of the row is known then.
known   the next trading day's close. Oil's price of a day is published by then, so that the whole row is known.
sp500, nasdaq, sp500_before, nasdaq_before   log return of the day, and of the trading day before.
oil     label: log return of the day over its volatility as of the day before (RiskMetrics: a moving average of squared
        returns with weight 0.94), so that a crisis counts as much as a calm year.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from arch.data import nasdaq, sp500, wti

DECAY = 0.94
WARM_UP_DAYS = 60


def closing_prices() -> pd.DataFrame:
    """Prices of the days on which all three were quoted."""
    prices = {
        "sp500": sp500.load()["Adj Close"],
        "nasdaq": nasdaq.load()["Adj Close"],
        "oil": wti.load()["DCOILWTICO"],
    }
    return pd.DataFrame(prices).loc["1999":].dropna()


def make_table(prices: pd.DataFrame) -> pd.DataFrame:
    """One row a trading day; features are not later than ``time``, nothing than ``known``."""
    returns = np.log(prices).diff()
    volatility = np.sqrt((returns["oil"] ** 2).ewm(alpha=1 - DECAY).mean()).shift(1)
    close = pd.DatetimeIndex(prices.index).tz_localize("America/New_York") + pd.Timedelta(hours=16)
    times = close.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ").to_series(index=prices.index)
    stocks = returns[["sp500", "nasdaq"]]
    table = pd.concat([stocks, stocks.shift(1).add_suffix("_before")], axis=1)
    table.insert(0, "time", times)
    table.insert(1, "known", times.shift(-1))
    table["oil"] = returns["oil"] / volatility
    return table.iloc[WARM_UP_DAYS:].dropna()


def write_table(target: Path) -> pd.DataFrame:
    """Write the table to ``target``, whole or not at all."""
    table = make_table(closing_prices())
    unfinished = target.with_suffix(".unfinished")
    table.to_csv(unfinished, index=False, float_format="%.8g")
    unfinished.replace(target)
    return table


if __name__ == "__main__":
    written = write_table(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: {len(written)} trading days from {written['time'].iloc[0]} to {written['time'].iloc[-1]}")
