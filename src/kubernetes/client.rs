//! Clients of the API server. A kubeconfig or the service account goes in, and two clients come out. The cluster is the
//! one that kubectl finds. The clients have time limits and no hidden retries.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::{
    Client, Config,
    config::{Cluster, ExecAuthCluster, Kubeconfig},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use url::Url;

use crate::proxies::Proxies;

/// Longest time for the answer to one request.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest silence of a watch. The API server ends a watch that has nothing to tell before this.
const WATCH_READ_TIMEOUT: Duration = Duration::from_secs(35);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Two clients of one cluster.
#[derive(Clone)]
pub struct Clients {
    /// For single requests. Each ends within a time limit.
    pub requests: Client,
    /// For watches, which are long and have a time limit of their own.
    pub watches: Client,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").finish_non_exhaustive()
    }
}

/// The cluster that kubectl would use, through the proxy that kubectl would use. Otherwise the cluster of the pod,
/// whose API server is reached directly.
///
/// # Errors
/// There is no cluster, or it cannot be used.
pub fn config(proxies: &Proxies) -> anyhow::Result<Config> {
    let from_kubeconfig = Kubeconfig::read().context("it cannot be read").and_then(|found| of(&found, proxies));
    let mut config = match from_kubeconfig {
        Ok(config) => config,
        Err(unusable) => Config::incluster().map_err(|in_cluster| {
            let in_cluster = anyhow::Error::from(in_cluster);
            anyhow!("no cluster was found. The kubeconfig (KUBECONFIG, ~/.kube/config): {unusable:#}. The service account: {in_cluster:#}")
        })?,
    };
    config.apply_debug_overrides();
    Ok(config)
}

/// The cluster of the current context of `kubeconfig`. kube's own function reads `NO_PROXY` itself and fails where that
/// has an empty entry, which curl and kubectl accept.
fn of(kubeconfig: &Kubeconfig, proxies: &Proxies) -> anyhow::Result<Config> {
    let current = kubeconfig.current_context.as_ref().context("it has no current-context")?;
    let context = kubeconfig.contexts.iter().find(|context| context.name == *current);
    let context = context.and_then(|found| found.context.as_ref()).context("its current-context does not exist")?;
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster =
        cluster.and_then(|found| found.cluster.as_ref()).context("the cluster of its context does not exist")?;
    let user = kubeconfig.auth_infos.iter().find(|user| Some(&user.name) == context.user.as_ref());
    let server = cluster.server.as_ref().context("its cluster has no server")?;
    // This also reads the certificate authority, from a file or from the kubeconfig.
    let loaded = ExecAuthCluster::try_from(cluster).context("its certificate-authority cannot be read")?;
    let mut config = Config::new(server.parse().context("its server is not an address")?);
    config.default_namespace = context.namespace.clone().unwrap_or(config.default_namespace);
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name.clone_from(&cluster.tls_server_name);
    config.root_cert = loaded.certificate_authority_data.as_deref().map(certificates).transpose()?;
    config.auth_info = user.and_then(|user| user.auth_info.clone()).unwrap_or_default();
    if let Some(exec) = config.auth_info.exec.as_mut().filter(|exec| exec.provide_cluster_info) {
        exec.cluster = Some(loaded);
    }
    config.proxy_url = proxy(cluster, &config.cluster_url, proxies)?;
    Ok(config)
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let parsed = CertificateDer::pem_slice_iter(pem).map(|found| found.map(|der| der.to_vec()));
    parsed.collect::<Result<_, _>>().context("its certificate-authority holds no certificates in PEM")
}

/// The proxy for the API server at `address`. A proxy in the kubeconfig's cluster goes before the environment's and
/// heeds no `NO_PROXY`.
fn proxy(cluster: &Cluster, address: &http::Uri, proxies: &Proxies) -> anyhow::Result<Option<http::Uri>> {
    let (from, proxy) = if let Some(own) = cluster.proxy_url.as_ref().filter(|own| !own.is_empty()) {
        ("proxy-url of the kubeconfig's cluster", Some(own.clone()))
    } else {
        let address = Url::parse(&address.to_string()).context("the address of the API server is none")?;
        ("the proxy of the environment", proxies.of_api_server(&address).map(|proxy| proxy.reveal().to_string()))
    };
    // In kube the proxy always looks names up, whichever of the two schemes it has.
    let proxy = proxy.map(|proxy| proxy.replacen("socks5h://", "socks5://", 1));
    proxy.map(|proxy| proxy.parse().with_context(|| format!("{from} is not the address of a proxy"))).transpose()
}

/// Clients for the cluster of `config`. This program retries writes itself, so kube must not.
///
/// # Errors
/// The configuration cannot be used, for example because a certificate cannot be read.
pub fn clients(mut config: Config) -> kube::Result<Clients> {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(WATCH_READ_TIMEOUT);
    let watches = Client::try_from(config.clone())?;
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    let requests = Client::try_from(config)?;
    Ok(Clients { requests, watches })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(own: &str, exempt: &str) -> Option<String> {
        let kubeconfig = format!(
            "{{current-context: b, contexts: [{{name: a, context: {{cluster: other}}}}, {{name: b, context: {{cluster: here}}}}],
              clusters: [{{name: other, cluster: {{server: 'https://x', proxy-url: 'http://x:1'}}}},
                         {{name: here, cluster: {{server: 'https://10.0.0.1', proxy-url: '{own}'}}}}]}}"
        );
        let environment = |name: &str| match name {
            "HTTPS_PROXY" => Some("socks5h://env:1".to_owned()),
            "NO_PROXY" => Some(exempt.to_owned()),
            _ => None,
        };
        let kubeconfig = Kubeconfig::from_yaml(&kubeconfig).unwrap();
        let proxies = Proxies::of(environment).unwrap();
        of(&kubeconfig, &proxies).unwrap().proxy_url.map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_proxy_of_the_api_server_is_that_of_its_cluster_or_else_that_of_the_environment() {
        assert_eq!(through("", "").as_deref(), Some("socks5://env:1/"));
        assert_eq!(through("", "10.0.0.0/8"), None);
        assert_eq!(through("http://own:1", "10.0.0.0/8").as_deref(), Some("http://own:1/"));
    }

    #[test]
    fn a_connection_that_hangs_is_given_up_and_another_one_made_within_a_minute() {
        for silence in [READ_TIMEOUT, WATCH_READ_TIMEOUT] {
            assert!(silence + CONNECT_TIMEOUT + READ_TIMEOUT < Duration::from_mins(1));
        }
    }
}
