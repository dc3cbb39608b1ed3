"""A loss that runs away."""

from modelcycle_runtime.train import training

with training() as t:
    loss = 1e200
    for step in range(1, 11):
        loss = loss * loss - loss * loss
        t.progress(step, 10, loss=loss)
