"""How many resources one small operator carries: rates, writes, CPU and memory beside what Kubernetes itself needs."""
