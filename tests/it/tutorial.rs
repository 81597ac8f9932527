//! The commands of the tutorial, run one after another as they are written.

use std::{path::Path, process::Command};

use control_plane::{Assets, ControlPlane};

use crate::binary::PROGRAM;

const TUTORIAL: &str = include_str!("../../docs/tutorial.md");

/// curl as far as the tutorial uses it, so that a machine without it runs the test: it speaks HTTP over a socket of bash.
const CURL: &str = r#"
curl() {
    local header="" method=GET body="" url=""
    while [ $# -gt 0 ]; do
        case $1 in
            -sf) ;;
            -H) header=$2; shift ;;
            -X) method=$2; shift ;;
            -d) body=$2; shift ;;
            *) url=$1 ;;
        esac
        shift
    done
    local rest=${url#http://}
    local host=${rest%%/*} answer
    exec 9<>"/dev/tcp/${host%:*}/${host#*:}"
    printf '%s /%s HTTP/1.1\r\nHost: %s\r\n%s\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' \
        "$method" "${rest#*/}" "$host" "$header" "${#body}" "$body" >&9
    answer=$(cat <&9)
    exec 9>&-
    printf '%s\n' "$answer"
    [[ $answer == "HTTP/1.1 2"* ]]
}
"#;

/// Every block of commands, in their order.
fn commands(page: &str) -> Vec<String> {
    let (mut blocks, mut lines) = (Vec::new(), page.lines());
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(block.join("\n"));
        }
    }
    blocks
}

/// Output that the page shows after its commands, word by word.
fn shown(page: &str) -> Vec<&str> {
    page.split("```console\n").skip(1).filter_map(|part| part.split("```").next()).collect()
}

#[test]
fn a_newcomer_who_types_the_commands_of_the_tutorial_sees_what_it_shows() {
    let plane = ControlPlane::start(&Assets::find().unwrap()).unwrap();
    let folder = std::env::temp_dir().join(format!("tutorial-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let blocks = commands(TUTORIAL);
    assert!(blocks.len() >= 9, "the blocks are found: {blocks:#?}");
    // A port that nobody else has, and times that a busy machine keeps: the lost answer has to be seen before it is resolved.
    let script = format!("{CURL}\n{}", blocks.join("\n"))
        .replace("127.0.0.1:8090", "127.0.0.1:0")
        .replace("--settle=5s", "--settle=40s")
        .replace("--timeout=60s", "--timeout=20m")
        .replace("--timeout=1m", "--timeout=20m")
        .replace("--timeout=2m", "--timeout=20m");
    let kubectl = plane.kubectl();
    let folders =
        [Path::new(kubectl.get_program()), Path::new(PROGRAM)].map(|program| program.parent().unwrap().to_owned());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path))).unwrap();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("PATH", path)
        .env("KUBECONFIG", plane.kubeconfig_path())
        .current_dir(&folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = std::fs::read_to_string(folder.join("operator.log")).unwrap_or_default();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(output.status.success(), "{text}\n{}\n{log}", String::from_utf8_lossy(&output.stderr));
    let words: Vec<&str> = text.split_whitespace().collect();
    // Ages differ, and so may ids.
    for word in shown(TUTORIAL)
        .join("\n")
        .split_whitespace()
        .filter(|word| !word.starts_with(|first: char| first.is_ascii_digit()))
    {
        assert!(words.contains(&word), "the tutorial shows {word}, and what came was\n{text}\n{log}");
    }
}
