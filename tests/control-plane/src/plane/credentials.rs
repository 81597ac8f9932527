//! Makes what a new control plane needs to trust and be trusted: writes keys, certificates, a token and a kubeconfig into
//! its folder.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// Authority that signed the server's certificate.
pub(super) const CA: &str = "ca.pem";
/// The server's certificate.
pub(super) const CERTIFICATE: &str = "server.pem";
/// The key to it.
pub(super) const KEY: &str = "server.key";
/// Signs the tokens of service accounts.
pub(super) const ACCOUNT_KEY: &str = "service-account.key";
/// Checks them.
pub(super) const ACCOUNT_PUBLIC_KEY: &str = "service-account.pub";
/// Users with their tokens, in the format of `--token-auth-file`.
pub(super) const TOKENS: &str = "tokens.csv";
/// The administrator's token alone.
pub(super) const ADMIN_TOKEN: &str = "admin.token";
/// The administrator's way in, for kubectl.
pub(super) const KUBECONFIG: &str = "kubeconfig";

/// Writes all of them, for a server that answers at `url`.
pub(super) fn write(folder: &Path, url: &str) -> Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "control-plane CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    private(folder, CA, &params.self_signed(&key)?.pem())?;
    let ca = Issuer::new(params, key);

    // The names by which pods would find it, too: tests look at certificates.
    let names = ["127.0.0.1", "localhost", "10.96.0.1", "kubernetes.default.svc"].map(String::from);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    private(folder, CERTIFICATE, &params.signed_by(&key, &ca)?.pem())?;
    private(folder, KEY, &key.serialize_pem())?;

    // Apart, because kube-apiserver finds no public key in a PKCS #8 file.
    let key = KeyPair::generate()?;
    private(folder, ACCOUNT_KEY, &key.serialize_pem())?;
    private(folder, ACCOUNT_PUBLIC_KEY, &key.public_key_pem())?;

    let token = token()?;
    private(folder, ADMIN_TOKEN, &token)?;
    private(folder, TOKENS, &format!("{token},admin,admin,system:masters\n"))?;
    private(folder, KUBECONFIG, &kubeconfig(url, &token))
}

/// Nothing here needs quotes; the CA's path is relative to the kubeconfig.
fn kubeconfig(url: &str, token: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters: [{{name: control-plane, cluster: {{server: '{url}', certificate-authority: {CA}}}}}]
users: [{{name: admin, user: {{token: '{token}'}}}}]
contexts: [{{name: admin, context: {{cluster: control-plane, user: admin, namespace: default}}}}]
current-context: admin
"
    )
}

fn token() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}

/// Writes a file that nobody else may read.
fn private(folder: &Path, name: &str, content: &str) -> Result<()> {
    let path = folder.join(name);
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads what [`write()`] wrote under `name`.
pub(super) fn read(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}
