from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from modelcycle_runtime.errors import UserError
from modelcycle_runtime.train.parity import REAL_ROWS, Floats, check_parity, probe_rows

FEATURES = np.random.default_rng(0).normal(size=(1000, 3)).astype(np.float32)


def model(features: Floats) -> Floats:
    return np.asarray(features.sum(axis=1))


def test_the_same_function_is_at_parity() -> None:
    check_parity(model, lambda x: model(x) * np.float32(1 + 1e-6), FEATURES)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        pytest.param(lambda x: model(x) + 0.01, "of 274 rows", id="off everywhere"),
        pytest.param(lambda x: np.clip(model(x), -20, 20), "ONNX -?20", id="differs beyond what was trained on alone"),
        pytest.param(lambda x: model(x)[:, None], r"shape \(274,\), ONNX with \(274, 1\)", id="another shape"),
        pytest.param(lambda x: np.where(x[:, 0] == 0, np.nan, model(x)), "nan", id="NaN at zero"),
        pytest.param(
            lambda x: model(x) if len(x) > 1 else model(x) + 1, "1 of 1 rows", id="differs for a single row alone"
        ),
    ],
)
def test_an_export_that_differs_is_the_users_error(other: object, words: str) -> None:
    with pytest.raises(UserError, match=rf"^ONNX export differs: .*{words}"):
        check_parity(model, other, FEATURES)  # type: ignore[arg-type]


def test_nan_for_nan_is_alike() -> None:
    rows = FEATURES.copy()
    rows[3] = np.nan
    check_parity(model, model, rows)


def test_rows_are_real_ones_spread_over_all_and_edges() -> None:
    rows = probe_rows(FEATURES)
    assert rows.dtype == np.float32
    assert (rows[0] == FEATURES[0]).all()
    assert (rows[REAL_ROWS - 1] == FEATURES[-1]).all()
    edges = rows[REAL_ROWS:]
    assert (edges[0] == 0).all()
    assert (edges == FEATURES.max(axis=0)).all(axis=1).any()
    assert (edges == 10 * FEATURES.min(axis=0)).all(axis=1).any()


@given(
    arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_any_table_gives_rows_that_can_be_compared(features: Floats) -> None:
    rows = probe_rows(features)
    assert rows.shape[1] == features.shape[1]
    assert np.isfinite(rows).all()


def test_a_column_of_nulls_alone_gives_edges_at_zero() -> None:
    rows = probe_rows(np.full((4, 1), np.nan, dtype=np.float32))
    assert (rows[4:] == 0).all()
