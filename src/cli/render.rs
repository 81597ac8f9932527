//! `render`: manifests in, the exact requests out, without sending anything. Says of each document what the API server
//! would say.

use std::{collections::BTreeMap, fmt::Write as _, io::Read as _, path::PathBuf};

use anyhow::{Context as _, bail};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    api::{
        AttemptId, GROUP, SalesforceBackup, VERSION,
        validate::{self, MAX_GENERATE_NAME},
    },
    command_center::{
        connection::{Connection, check_type},
        create_task::{
            description::JobDescription,
            request::{CreateTask, JSON, OPERATION, TOKEN_HEADER},
        },
        endpoint::EndpointPolicy,
    },
};

/// Flags of `render`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File with SalesforceBackups, and the Secrets that they refer to if you like; - reads standard input.
    #[arg(short, long, env = "SFB_RENDER_FILE", value_name = "FILE")]
    pub file: PathBuf,
}

/// Placeholders of values that only the cluster knows: the first 8 hex digits of the Namespace's uid, and the attempt's id.
const UID: &str = "<nsuid>";
const ATTEMPT: &str = "<attempt.id>";
const RANDOM: &str = "<random>";

/// Renders the file that `args` name.
///
/// # Errors
/// When the file cannot be read, or with everything that is wrong in it.
pub fn run(args: &Args) -> anyhow::Result<String> {
    let is_standard_input = args.file.as_os_str() == "-";
    let name = if is_standard_input { "standard input".to_owned() } else { args.file.display().to_string() };
    let bytes = if is_standard_input {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(&args.file)
    };
    let bytes = bytes.with_context(|| format!("{name} cannot be read"))?;
    let text = decoded(&bytes);
    render(&text.with_context(|| format!("{name} is neither UTF-8 nor UTF-16 with a byte order mark"))?)
}

/// The text in `bytes`, read as kubectl reads it: UTF-8, or what a byte order mark says. Nothing where it is something else.
fn decoded(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units = pairs.iter().copied().map(unit);
        if rest.is_empty() { char::decode_utf16(units).collect::<Result<String, _>>().ok() } else { None }
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => String::from_utf8(rest.to_vec()).ok(),
    }
}

/// The requests for all SalesforceBackups in `text`.
///
/// # Errors
/// Everything that is wrong in `text`, by document and field.
pub fn render(text: &str) -> anyhow::Result<String> {
    let documents = documents(text)?;
    let mut problems = Vec::new();
    let mut secrets = BTreeMap::new();
    let mut backups = Vec::new();
    for document in &documents {
        match document.kind() {
            ("v1", "Secret") => match serde_json::from_value::<Secret>(document.value.clone()) {
                Ok(secret) => {
                    secrets.insert(document.key(), (document, secret));
                }
                // The parser's own words would quote a value.
                Err(_) => problems.push(format!(
                    "{document}: data or stringData cannot be read: every value must be a string, in data base64"
                )),
            },
            (version, "SalesforceBackup") if version.starts_with(GROUP) => match backup(document)? {
                Ok(backup) => backups.push((document, backup)),
                Err(found) => problems.extend(found),
            },
            (version, kind) if version.starts_with(GROUP) => {
                problems.push(format!("{document}: {version} has no kind {kind}"));
            }
            _ => {}
        }
    }
    let mut output = String::new();
    for (document, backup) in &backups {
        let secret = secrets.get(&(document.key().0, backup.spec.command_center.secret_ref.name.clone()));
        match request(document, backup, secret.map(|(document, secret)| (*document, secret))) {
            Ok(text) => output.push_str(&text),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n       "));
    }
    if backups.is_empty() {
        bail!("there is no SalesforceBackup ({GROUP}/{VERSION}) in it");
    }
    Ok(output)
}

/// One document of the file; an item of a List counts as one.
struct Document {
    number: usize,
    value: Value,
}

impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (namespace, name) = self.key();
        write!(f, "document {} ({} {namespace}/{name})", self.number, self.kind().1)
    }
}

impl Document {
    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn kind(&self) -> (&str, &str) {
        (self.text("/apiVersion"), self.text("/kind"))
    }

    /// Its name; what the API server adds to a `generateName` is not known.
    fn name(&self) -> String {
        match (self.text("/metadata/name"), self.text("/metadata/generateName")) {
            ("", "") => String::new(),
            ("", beginning) => format!("{}{RANDOM}", beginning.chars().take(MAX_GENERATE_NAME).collect::<String>()),
            (name, _) => name.to_owned(),
        }
    }

    fn key(&self) -> (String, String) {
        let namespace =
            Some(self.text("/metadata/namespace")).filter(|namespace| !namespace.is_empty()).unwrap_or("default");
        (namespace.to_owned(), self.name())
    }
}

fn documents(text: &str) -> anyhow::Result<Vec<Document>> {
    let mut documents = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let number = index + 1;
        let value = Value::deserialize(document).with_context(|| format!("document {number} is not YAML"))?;
        match value.get("items").and_then(Value::as_array) {
            Some(items) if value.get("kind").and_then(Value::as_str) == Some("List") => {
                documents.extend(items.iter().map(|item| Document { number, value: item.clone() }));
            }
            _ if value.is_null() => {}
            _ => documents.push(Document { number, value }),
        }
    }
    Ok(documents)
}

fn backup(document: &Document) -> anyhow::Result<Result<SalesforceBackup, Vec<String>>> {
    let violations = validate::salesforce_backup(&document.value)?;
    if !violations.is_empty() {
        return Ok(Err(violations.iter().map(|violation| format!("{document}: {violation}")).collect()));
    }
    Ok(serde_json::from_value(document.value.clone()).map_err(|error| vec![format!("{document}: {error}")]))
}

fn contents(secret: &Secret) -> BTreeMap<String, ByteString> {
    let mut data = secret.data.clone().unwrap_or_default();
    let texts = secret.string_data.iter().flatten();
    data.extend(texts.map(|(key, text)| (key.clone(), ByteString(text.clone().into_bytes()))));
    data
}

fn request(
    document: &Document,
    backup: &SalesforceBackup,
    secret: Option<(&Document, &Secret)>,
) -> Result<String, String> {
    let secret_name = &backup.spec.command_center.secret_ref.name;
    let url = match secret {
        None => format!("<url of Secret {secret_name}>/{OPERATION}"),
        Some((at, secret)) => {
            // Whether the operator may call it is the operator's flags to say.
            let any = EndpointPolicy { allow_insecure_http: true, ..EndpointPolicy::default() };
            let connection = check_type(secret.type_.as_deref())
                .and_then(|()| Connection::from_secret(&contents(secret), "", &any))
                .map_err(|error| format!("{at}: {error}"))?;
            connection.endpoint.join(OPERATION).to_string()
        }
    };
    let (namespace, name) = document.key();
    let attempt = AttemptId::from(ATTEMPT);
    let description = JobDescription {
        namespace: &namespace,
        name: &name,
        namespace_uid: UID,
        run_id: backup.spec.run_id.as_deref(),
        attempt: &attempt,
    };
    let body =
        serde_json::to_string_pretty(&CreateTask::new(&backup.spec, description)).map_err(|error| error.to_string())?;
    let mut text = String::new();
    writeln!(text, "# {document}\nPOST {url}\nContent-Type: {JSON}\nAccept: {JSON}\n{TOKEN_HEADER}: <token of Secret {secret_name}>\n\n{body}\n")
        .map_err(|error| error.to_string())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: cc, namespace: crm}\nstringData: {url: \"https://cc.example.com/commandcenter/api/\", token: t0psecret}\n";
    const BACKUP: &str = "apiVersion: commandcenter.dev/v1alpha1\nkind: SalesforceBackup\nmetadata: {name: prod, namespace: crm}\nspec:\n  commandCenter: {secretRef: {name: cc}}\n  associations: [{clientId: 12}]\n  runId: r1\n";

    #[test]
    fn the_exact_request_is_printed_with_the_secret_of_the_same_file_and_without_its_token() {
        let text = render(&format!("{BACKUP}---\n{SECRET}")).unwrap();
        insta::assert_snapshot!(text, @r#"
        # document 1 (SalesforceBackup crm/prod)
        POST https://cc.example.com/commandcenter/api/CreateTask
        Content-Type: application/json
        Accept: application/json
        Authtoken: <token of Secret cc>

        {
          "taskInfo": {
            "associations": [
              {
                "clientId": 12
              }
            ],
            "task": {
              "taskType": "IMMEDIATE"
            },
            "subTasks": [
              {
                "subTask": {
                  "subTaskType": "BACKUP",
                  "operationType": "BACKUP"
                },
                "options": {
                  "backupOpts": {
                    "backupLevel": 2
                  },
                  "commonOpts": {
                    "jobDescription": "salesforce-backup-operator/crm/prod/<nsuid>/r1/<attempt.id>"
                  }
                }
              }
            ]
          }
        }
        "#);
    }

    #[test]
    fn without_the_secret_its_place_is_named_and_the_same_name_elsewhere_is_another_secret() {
        let elsewhere = SECRET.replace("namespace: crm", "namespace: other");
        for text in [BACKUP.to_owned(), format!("{elsewhere}---\n{BACKUP}")] {
            assert!(render(&text).unwrap().contains("POST <url of Secret cc>/CreateTask\n"));
        }
    }

    #[test]
    fn every_mistake_is_named_by_document_and_field() {
        let second = BACKUP.replace("clientId: 12", "clientId: twelve").replace("runId: r1", "backupLevel: Ful");
        let error =
            render(&format!("{BACKUP}---\n{second}---\n{}", SECRET.replace("url:", "uri:"))).unwrap_err().to_string();
        for expected in [
            "document 2 (SalesforceBackup crm/prod): spec.associations[0].clientId: ",
            "document 2 (SalesforceBackup crm/prod): spec.backupLevel: ",
            "document 3 (Secret crm/cc): has no key url",
        ] {
            assert!(error.contains(expected), "{expected:?} is missing in: {error}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_not_quoted() {
        let error =
            render(&format!("{BACKUP}---\n{}", SECRET.replace("t0psecret", "1234567890123"))).unwrap_err().to_string();
        assert!(error.contains("every value must be a string") && !error.contains("1234567890123"), "{error}");
    }

    #[test]
    fn items_of_a_list_are_rendered_and_files_without_a_backup_are_refused() {
        let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}", BACKUP.trim_end().replace('\n', "\n  "));
        assert!(render(&list).unwrap().starts_with("# document 1 (SalesforceBackup crm/prod)"));
        assert!(render(SECRET).unwrap_err().to_string().contains("no SalesforceBackup"));
        let misspelt = format!("{BACKUP}---\n{}", BACKUP.replace("SalesforceBackup", "SalesForceBackup"));
        assert!(render(&misspelt).unwrap_err().to_string().contains("has no kind SalesForceBackup"));
        assert!(format!("{:#}", render("a: [").unwrap_err()).contains("document 1 is not YAML"));
    }

    /// The text that `render` prints for a file with these bytes.
    fn rendered(bytes: &[u8]) -> anyhow::Result<String> {
        let file = std::env::temp_dir().join(format!("sfb-render-{}", uuid::Uuid::new_v4()));
        std::fs::write(&file, bytes).unwrap();
        let rendered = run(&Args { file: file.clone() });
        std::fs::remove_file(file).unwrap();
        rendered
    }

    #[test]
    fn files_are_read_in_the_encodings_that_kubectl_reads() {
        let text = format!("{BACKUP}---\n{SECRET}").replace("runId: r1", "runId: r1 # grün");
        let plain = rendered(text.as_bytes()).unwrap();
        let marked = format!("\u{feff}{text}");
        let units = || marked.encode_utf16();
        for (encoding, bytes) in [
            ("UTF-8", marked.clone().into_bytes()),
            ("UTF-16 little endian", units().flat_map(u16::to_le_bytes).collect()),
            ("UTF-16 big endian", units().flat_map(u16::to_be_bytes).collect()),
        ] {
            assert_eq!(rendered(&bytes).unwrap(), plain, "{encoding}");
        }
        for broken in [&b"\xff\xfea"[..], b"\xff\xfe\x00\xd8", b"kind: \xff"] {
            let error = format!("{:#}", rendered(broken).unwrap_err());
            assert!(error.contains("UTF-8"), "{error}");
        }
    }

    #[test]
    fn a_name_that_the_server_completes_is_shown_as_one() {
        let text = render(&BACKUP.replace("name: prod", "generateName: nightly-")).unwrap();
        assert!(text.starts_with("# document 1 (SalesforceBackup crm/nightly-<random>)"), "{text}");
        assert!(text.contains("salesforce-backup-operator/crm/nightly-<random>/<nsuid>/r1/<attempt.id>"), "{text}");
    }

    #[test]
    fn a_secret_of_a_type_that_is_not_for_this_is_refused() {
        let secret = SECRET.replace("kind: Secret", "kind: Secret\ntype: kubernetes.io/service-account-token");
        let error = render(&format!("{BACKUP}---\n{secret}")).unwrap_err().to_string();
        assert!(
            error.contains("document 2 (Secret crm/cc): is of type kubernetes.io/service-account-token"),
            "{error}"
        );
        render(&format!("{BACKUP}---\n{}", SECRET.replace("kind: Secret", "kind: Secret\ntype: Opaque"))).unwrap();
    }
}
