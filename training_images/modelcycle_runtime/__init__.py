"""What runs inside a model's pods: training, fetching, serving, evaluating. It knows no operator and no Kubernetes."""
