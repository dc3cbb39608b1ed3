"""Replays history as live requests: one a trading day, whose label arrives with the next day's.

It runs as a Job in the cluster, as any client would: it talks to the deployment's Service, and reads (never writes) the
status of the policy and of the deployment. Standard library only.

So that the result does not depend on how fast the machine is, it lets the policy catch up every few days, stands still
while a training and its gate are under way, and during a rollout goes on no faster than the rollout sees the requests.
Everything that happened is in a journal; started again, it goes on where the journal ends.
"""
