//! Values of flags that a library's own parser takes too much or too little of. Pure.

use ipnet::IpNet;

use crate::{
    api::validate,
    command_center::endpoint::{Endpoint, EndpointError},
};

/// True or false, in the spellings that programs of Kubernetes take.
///
/// # Errors
/// Reads a boolean; the error says what is allowed.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("true or false is needed".to_owned()),
    }
}

/// One namespace of a list. An empty one is refused: where it comes from a variable that is not set, all namespaces would be
/// watched.
///
/// # Errors
/// Reads a namespace; the error says what is allowed.
pub fn watched_namespace(text: &str) -> Result<String, String> {
    match text.trim() {
        "" | "*" => Err("a name of a namespace is needed; to watch all of them, leave it out".to_owned()),
        name => validate::namespace_name(name).map_err(|wrong| format!("a name of a namespace {wrong}")),
    }
}

/// One address of a list. An empty one is refused: where it comes from a variable that is not set, every address would be
/// allowed.
///
/// # Errors
/// Reads a URL prefix; the error says what is allowed.
pub fn allowed_endpoint(text: &str) -> Result<Endpoint, String> {
    match text.trim() {
        "" | "*" => Err("an address is needed; to allow every https address, leave it out".to_owned()),
        text => text.parse().map_err(|error: EndpointError| error.to_string()),
    }
}

/// A network, as an address and the length of its prefix.
///
/// # Errors
/// When it is something else, or when it names a host within a network.
pub fn network(text: &str) -> Result<IpNet, String> {
    let network: IpNet = text.trim().parse().map_err(|_| {
        "a network is needed, such as 10.96.0.0/12 or fd00::/8 (a single address is 10.0.0.1/32)".to_owned()
    })?;
    if network.addr() == network.network() {
        Ok(network)
    } else {
        Err(format!("it has bits behind its prefix: write {} for the network, or a longer prefix", network.trunc()))
    }
}
