"""The operator's part of the chart: how it runs, what it may do, which endpoints it is told."""

from __future__ import annotations

import json

import pytest
import yaml

from helm import render
from modelcycle import cli
from modelcycle.settings import Endpoints, RunOptions
from tests.unit.chart.chart import REAL_MLFLOW, REAL_PROMETHEUS, Chart, Manifest

DEPLOYMENTS = ("modelcycle", "modelcycle-mlflow", "modelcycle-prometheus")


def endpoints(chart: Chart) -> Endpoints:
    text = chart.get("ConfigMap", "modelcycle-endpoints")["data"]["endpoints.yaml"]
    return Endpoints.model_validate(yaml.safe_load(text))


# --- pods ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_pods_meet_the_restricted_pod_security_standard(name: str, default: Chart) -> None:
    pod, container = default.pod(name)["securityContext"], default.container(name)["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] == 65532
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert container["allowPrivilegeEscalation"] is False
    assert container["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_pods_have_probes_and_bounded_memory(name: str, default: Chart) -> None:
    container = default.container(name)
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
    assert container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_selector_finds_its_own_pods_only(name: str, default: Chart) -> None:
    spec = default.get("Deployment", name)["spec"]
    wanted = spec["selector"]["matchLabels"].items()
    finds = [
        other for other in DEPLOYMENTS
        if wanted <= default.get("Deployment", other)["spec"]["template"]["metadata"]["labels"].items()
    ]  # fmt: skip
    assert finds == [name]


def test_the_operator_answers_probes_apart_from_its_work(default: Chart) -> None:
    container = default.container("modelcycle")
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def flags_of(chart: Chart) -> dict[str, str | None]:
    """The flags in the chart, as the operator's own command line understands them."""
    arguments = [text.replace("$(POD_NAMESPACE)", "here") for text in chart.container("modelcycle")["args"]]
    return vars(cli._parser().parse_args(arguments))


def run_options_of(chart: Chart) -> RunOptions:
    return cli.run_options(flags_of(chart), {})


def test_the_arguments_are_those_that_the_operator_knows(default: Chart) -> None:
    options = run_options_of(default)
    container = default.container("modelcycle")
    assert str(options.endpoints_file) in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert options.serving_image == "localhost/modelcycle/serving:0.1.0"
    assert options.lease_namespace == "here"
    assert [port["containerPort"] for port in container["ports"]] == [options.port]


def test_every_flag_can_be_given() -> None:
    given = ("namespaces={shop,bank}", "clusterId=old", "qps=20", "burst=40", "workers=2", "relistSeconds=60")
    chart = Chart(*(f"--set=operator.{each}" for each in (*given, "log.format=text", "log.level=DEBUG")))
    flags, options = flags_of(chart), run_options_of(chart)
    assert {name for name, value in flags.items() if value is None} == {"kubeconfig"}, "a pod has its service account"
    assert (flags["log_format"], flags["log_level"]) == ("text", "DEBUG")
    assert (options.namespaces, options.cluster_id) == (("shop", "bank"), "old")
    assert (options.requests_per_second, options.burst, options.workers) == (20.0, 40, 2)
    assert options.relist_seconds == 60


def test_what_is_not_given_is_left_to_the_operator(default: Chart) -> None:
    named = {argument.partition("=")[0] for argument in default.container("modelcycle")["args"]}
    assert named == {"run", "--endpoints", "--serving-image", "--lease-namespace", "--lease-name", "--port"}


@pytest.mark.parametrize(
    ("value", "field"),
    [
        pytest.param("qps", "requests_per_second", id="qps"),
        pytest.param("burst", "burst", id="burst"),
        pytest.param("workers", "workers", id="workers"),
    ],
)
def test_the_chart_describes_the_operators_own_defaults(value: str, field: str) -> None:
    schema = json.loads((render.CHART / "values.schema.json").read_text(encoding="utf-8"))
    text = schema["properties"]["operator"]["properties"][value]["description"]
    assert text.endswith(f"null: {RunOptions.model_fields[field].default:g}.")


def test_one_replica_has_no_disruption_budget(default: Chart) -> None:
    assert default.get("Deployment", "modelcycle")["spec"]["replicas"] == 1
    assert default.names("PodDisruptionBudget") == []


def test_replicas_are_spread_and_never_all_evicted(ha: Chart) -> None:
    assert ha.get("Deployment", "modelcycle")["spec"]["replicas"] == 2
    assert ha.get("PodDisruptionBudget", "modelcycle")["spec"]["minAvailable"] == 1
    assert ha.pod("modelcycle")["topologySpreadConstraints"]
    assert ha.pod("modelcycle")["priorityClassName"] == "system-cluster-critical"


def test_another_release_has_names_of_its_own(default: Chart) -> None:
    other = Chart(release="blue")
    assert set(other.names("Deployment")) == {f"blue-{name}" for name in DEPLOYMENTS}
    shared = {(one["kind"], one["metadata"]["name"]) for one in default.objects} & {
        (one["kind"], one["metadata"]["name"]) for one in other.objects
    }
    assert {kind for kind, _ in shared} == {"CustomResourceDefinition"}


# --- rights ----------------------------------------------------------------------------------------------------------
def test_there_are_no_wildcards(ha: Chart) -> None:
    rules = ha.rules()
    assert not [rule for rule in rules if "*" in rule["verbs"] + rule["resources"] + rule["apiGroups"]]


def rules_of(chart: Chart, resource: str) -> list[Manifest]:
    own = chart.get("ClusterRole", "modelcycle")["rules"]
    return [rule for rule in own if resource in rule["resources"]]


def test_secrets_can_be_made_but_not_read(default: Chart) -> None:
    assert [rule["verbs"] for rule in default.rules() if "secrets" in rule["resources"]] == [["create"]]


def test_config_maps_are_copied_one_by_one(default: Chart) -> None:
    assert [rule["verbs"] for rule in rules_of(default, "configmaps")] == [["get", "create"]]


def test_specs_can_not_be_written(default: Chart) -> None:
    for kind in ("modeltrainings", "modeldeployments", "retrainpolicies"):
        verbs = {verb for rule in rules_of(default, kind) for verb in rule["verbs"]}
        assert not verbs & {"update", "patch"}


def test_trainings_are_made_and_pruned_for_policies(default: Chart) -> None:
    verbs = {verb for rule in rules_of(default, "modeltrainings") for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch", "create", "delete"}


def test_a_role_is_bound_everywhere_unless_namespaces_are_named(default: Chart) -> None:
    assert default.names("ClusterRoleBinding") == ["modelcycle", "modelcycle-prometheus"]
    assert bound(default) == {("modelcycle-lease", "modelcycle-system")}
    assert [rule["verbs"] for rule in rules_of(default, "namespaces")] == [["get"]]


def bound(chart: Chart) -> set[tuple[str, str]]:
    """Name and namespace of every RoleBinding."""
    metadata = [one["metadata"] for one in chart.objects if one["kind"] == "RoleBinding"]
    return {(each["name"], each["namespace"]) for each in metadata}


def test_roles_are_bound_in_the_namespaces_that_are_served_and_nowhere_else() -> None:
    chart = Chart("--set=operator.namespaces={shop,bank}")
    assert chart.names("ClusterRoleBinding") == []
    assert bound(chart) == {
        ("modelcycle", "shop"),
        ("modelcycle", "bank"),
        ("modelcycle-cluster-id", "kube-system"),
        ("modelcycle-lease", "modelcycle-system"),
        ("modelcycle-prometheus", "shop"),
        ("modelcycle-prometheus", "bank"),
        ("modelcycle-prometheus", "modelcycle-system"),
    }
    assert rules_of(chart, "namespaces") == []
    assert chart.get("Role", "modelcycle-cluster-id")["rules"] == [
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}
    ]
    for binding in (one for one in chart.objects if one["kind"] == "RoleBinding"):
        (subject,) = binding["subjects"]
        assert subject["namespace"] == "modelcycle-system"


@pytest.mark.parametrize("more", [(), ("--set=operator.namespaces={shop}",)], ids=["everywhere", "in one namespace"])
def test_with_an_id_of_its_own_the_cluster_is_not_asked_for_one(more: tuple[str, ...]) -> None:
    chart = Chart("--set=operator.clusterId=old", *more)
    assert [rule for rule in chart.rules() if "namespaces" in rule["resources"]] == []
    assert "modelcycle-cluster-id" not in chart.names("Role") + chart.names("RoleBinding")


def test_only_its_own_lease_can_be_taken(default: Chart) -> None:
    rules = default.get("Role", "modelcycle-lease")["rules"]
    assert [(rule["verbs"], rule.get("resourceNames")) for rule in rules] == [
        (["create"], None),
        (["get", "update"], ["modelcycle"]),
    ]
    assert run_options_of(default).lease_name == "modelcycle"


def test_people_who_view_and_edit_learn_our_kinds(default: Chart) -> None:
    view, edit = default.get("ClusterRole", "modelcycle-view"), default.get("ClusterRole", "modelcycle-edit")
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert "rbac.authorization.k8s.io/aggregate-to-view" not in edit["metadata"]["labels"]
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    assert not [rule for rule in edit["rules"] if any("status" in resource for resource in rule["resources"])]


# --- endpoints -------------------------------------------------------------------------------------------------------
def test_the_embedded_servers_are_the_default_endpoints(default: Chart) -> None:
    found = endpoints(default)
    mlflow, prometheus = found.mlflow_named("default", "any"), found.prometheus_named("default", "any")
    assert mlflow is not None
    assert prometheus is not None
    assert mlflow.url == "http://modelcycle-mlflow.modelcycle-system.svc:5000"
    assert mlflow.may_register("shop", "shop.ranker")
    assert not mlflow.may_register("shop", "bank.ranker")
    assert (prometheus.url, prometheus.scrape_seconds) == ("http://modelcycle-prometheus.modelcycle-system.svc:9090", 5)


def test_a_named_mlflow_replaces_the_embedded_one() -> None:
    chart = Chart(*REAL_MLFLOW)
    assert [each.url for each in endpoints(chart).mlflow] == ["https://mlflow.example.com"]
    assert "modelcycle-mlflow" not in chart.names("Deployment") + chart.names("PersistentVolumeClaim")


def test_a_named_prometheus_replaces_the_embedded_one() -> None:
    chart = Chart(*REAL_PROMETHEUS)
    assert [each.url for each in endpoints(chart).prometheus] == ["https://prometheus.example.com"]
    assert "modelcycle-prometheus" not in chart.names("Deployment") + chart.names("ClusterRole")


def test_every_setting_of_an_endpoint_can_be_given() -> None:
    more = {
        "ca_file": "/etc/modelcycle/secrets/ca.crt",
        "token_file": "/etc/modelcycle/secrets/token",
        "namespaces": "{research,shop}",
        "model_prefixes": "{team-a.}",
        "pod_url": "https://mlflow.internal.example.com",
        "pod_secret": "mlflow-credentials",
    }
    given = [f"--set=endpoints.mlflow[0].{name}={value}" for name, value in more.items()]
    chart = Chart(*REAL_MLFLOW, *given, "--set=endpoints.secret=endpoint-secrets")
    (endpoint,) = endpoints(chart).mlflow
    assert endpoint.namespaces == ("research", "shop")
    assert endpoint.pod_secret == "mlflow-credentials"
    secrets = [volume["secret"] for volume in chart.pod("modelcycle")["volumes"] if "secret" in volume]
    assert secrets == [{"secretName": "endpoint-secrets"}]


def test_the_operator_starts_anew_when_its_endpoints_change(default: Chart) -> None:
    def checksum(chart: Chart) -> str:
        metadata = chart.get("Deployment", "modelcycle")["spec"]["template"]["metadata"]
        return str(metadata["annotations"]["checksum/endpoints"])

    assert checksum(default) != checksum(Chart(*REAL_MLFLOW))
