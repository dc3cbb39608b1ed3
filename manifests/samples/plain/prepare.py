"""Makes volatility.csv: how much the NASDAQ will move tomorrow, from how much it moved so far.

time    16:00 in New York, when the market closes; known   the next trading day's close.
day, week, month   mean variance (squared per cent) of the last 1, 5 and 22 days, each day's from its high and low
        (Parkinson, 1980).
variance   label: the next day's.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from arch.data import nasdaq

WINDOWS = {"day": 1, "week": 5, "month": 22}


def make_table(prices: pd.DataFrame) -> pd.DataFrame:
    """One row a trading day."""
    spread = 100 * np.log(prices["High"] / prices["Low"])
    variance = spread**2 / (4 * np.log(2))
    close = pd.DatetimeIndex(prices.index).tz_localize("America/New_York") + pd.Timedelta(hours=16)
    times = close.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ").to_series(index=prices.index)
    columns = {"time": times, "known": times.shift(-1)}
    columns |= {name: variance.rolling(days).mean() for name, days in WINDOWS.items()}
    columns["variance"] = variance.shift(-1)
    return pd.DataFrame(columns).dropna()


if __name__ == "__main__":
    make_table(nasdaq.load()).to_csv(Path(sys.argv[1]), index=False, float_format="%.8g")
