"""Measures a server: open loop with Poisson arrivals, or closed loop. The load is compiled (``modelcycle_core``)."""
