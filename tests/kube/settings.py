"""What each machine is configured with: keys, certificates, kubeconfigs, and the components' settings.

Read first: `write_cluster`. Must not know: what runs.
"""

import base64
import json

from build import PAUSE, components
from common import BRIDGE, CLUSTER, CONTROL, KUBECONFIG, KUBERNETES_SERVICE, PODS, address, pod_network, run

STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local-pv", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "local-pv",
    "volumeBindingMode": "WaitForFirstConsumer",
}

CONTAINERD = """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE no process may lower its OOM score, and no pod would start.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{machine}/cni"
"""


def kubelet_config(node):
    pki = CLUSTER / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{BRIDGE}/{node}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": f"{pki}/ca.crt"}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{pki}/{node}.crt",
        "tlsPrivateKeyFile": f"{pki}/{node}.key",
        "clusterDNS": [CONTROL],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "volumePluginDir": "/run/volume-plugins",
        # No registry could bring an image back.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "100Mi", "imagefs.available": "100Mi"},
        # Quick to be missed, so that tests of lost nodes are quick.
        "nodeStatusUpdateFrequency": "1s",
        "nodeLeaseDurationSeconds": 4,
        # What is killed again and again is started again at once.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
        # Follow changes of Secrets and ConfigMaps by watching them.
        "configMapAndSecretChangeDetectionStrategy": "Watch",
        "syncFrequency": "5s",
    }


def kube_proxy_config(name):
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": f"{CLUSTER}/pki/kube-proxy.kubeconfig"},
        "clusterCIDR": PODS,
        # Zero leaves the host's connection tracking as it is.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "nodePortAddresses": [f"{address(name)}/32"],
    }


def pod_network_config(node):
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": pod_network(node)}]], "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


COREFILE = """\
cluster.local in-addr.arpa {{
    bind {address}
    errors
    kubernetes {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
}}
. {{
    bind {address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def write_cluster(names):
    """Writes keys, certificates and settings of all machines."""
    pki = CLUSTER / "pki"
    pki.mkdir(mode=0o700, parents=True)
    certificate("ca", "/CN=test cluster")
    certificate("service-account", "/CN=service accounts")
    certificate("apiserver", "/CN=kube-apiserver", ",".join([
        "DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc",
        "DNS:kubernetes.default.svc.cluster.local", f"IP:{CONTROL}", f"IP:{KUBERNETES_SERVICE}"]))
    identity("admin", "/O=system:masters/CN=admin")
    for user in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        identity(user, f"/CN=system:{user}")
    (CLUSTER / "Corefile").write_text(COREFILE.format(address=CONTROL, kubeconfig=KUBECONFIG))
    (CLUSTER / "pause.tar").symlink_to(components() / "pause.tar")
    for name in ("control", *names):
        machine = CLUSTER / "machines" / name
        for directory in ("lib", "log", "cni"):
            (machine / directory).mkdir(parents=True)
        (machine / "kube-proxy.yaml").write_text(json.dumps(kube_proxy_config(name), indent=1))
        if name != "control":
            identity(name, f"/O=system:nodes/CN=system:node:{name}", f"DNS:{name},IP:{address(name)}")
            (machine / "kubelet.yaml").write_text(json.dumps(kubelet_config(name), indent=1))
            (machine / "cni/pods.conflist").write_text(json.dumps(pod_network_config(name), indent=1))
            (machine / "containerd.toml").write_text(CONTAINERD.format(pause=PAUSE, machine=machine))


def certificate(name, subject, alternative_names=""):
    """A key and a certificate, signed by `ca` unless it is a root itself."""
    pki = CLUSTER / "pki"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "365",
               "-subj", subject, "-keyout", pki / f"{name}.key", "-out", pki / f"{name}.crt"]
    if name not in ("ca", "service-account"):
        command += ["-CA", pki / "ca.crt", "-CAkey", pki / "ca.key",
                    "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=clientAuth,serverAuth"]
    if alternative_names:
        command += ["-addext", f"subjectAltName={alternative_names}"]
    run(*command)


def identity(user, subject, alternative_names=""):
    """A client of the API server: its certificate and its kubeconfig."""
    certificate(user, subject, alternative_names)
    pki = CLUSTER / "pki"

    def data(file):
        return base64.b64encode((pki / file).read_bytes()).decode()

    (pki / f"{user}.kubeconfig").write_text(json.dumps({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "kube",
        "contexts": [{"name": "kube", "context": {"cluster": "kube", "user": user}}],
        "clusters": [{"name": "kube", "cluster": {"server": f"https://{CONTROL}:6443", "certificate-authority-data": data("ca.crt")}}],
        "users": [{"name": user, "user": {"client-certificate-data": data(f"{user}.crt"), "client-key-data": data(f"{user}.key")}}],
    }, indent=1))
