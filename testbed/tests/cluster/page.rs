//! The sign-in page in a real browser: scripts of `testbed/tests/browser` drive Chromium against a running cluster.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::{Cluster, Setup};

/// Some minutes on a busy machine. Beyond it the browser hangs.
const PATIENCE: Duration = Duration::from_secs(900);

const LOGO: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 216 60" width="216" height="60">
<rect x="2" y="2" width="56" height="56" rx="10" fill="#123a6b"/><path d="M30 12 48 48H12z" fill="#ffd34d"/>
<path d="M74 48 88 14l14 34M79 38h18M138 20a15 15 0 1 0 0 20M148 48V14l13 20 13-20v34M212 15h-24v32h24M188 30h20"
 fill="none" stroke="#123a6b" stroke-width="6"/></svg>"##;

/// A second organisation, whose agents may be those of the first and are not there.
const GLOBEX: &str = r#"
[[tenants]]
name = "globex"
display_name = "Globex Gesellschaft für weltweite Beteiligungen und Verwaltung, Köln"
anchors = "tenants/acme/ca.pem"

[[realms]]
tenant = "globex"
name = "globex.example"
upn_suffixes = ["globex.example"]
"#;

/// Runs a script to its end. Gives what it said.
async fn drive(cluster: &Cluster, script: &str) -> String {
    let Some(modules) = std::env::var_os("POSTERN_TEST_BROWSER") else {
        panic!(
            "POSTERN_TEST_BROWSER must name a folder in which `npm ci` was run with the package.json of \
             testbed/tests/browser"
        );
    };
    let pictures = std::env::var_os("POSTERN_TEST_PICTURES")
        .map_or_else(|| Path::new(cluster.text("/dir")).join("pictures"), PathBuf::from);
    std::fs::create_dir_all(&pictures).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(script);
    let node = Command::new("node")
        .arg(script)
        .arg(cluster.text("/relays/0/api"))
        .arg(pictures)
        .arg(cluster.about["users"].to_string())
        .env("POSTERN_TEST_BROWSER", modules)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, node).await.unwrap().unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.ends_with("ok all\n"),
        "{}\n{said}{complained}",
        output.status
    );
    said.into_owned()
}

/// How many passwords the directory found wrong.
async fn wrong_passwords(cluster: &Cluster) -> usize {
    let binds = cluster.binds().await;
    binds.iter().filter(|bind| bind["sub_code"] == "52e").count()
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn people_sign_in_at_the_page_with_and_without_javascript_and_everybody_can_read_it() {
    let cluster = Setup::new(&["--users", "1"]).start().await;
    let said = drive(&cluster, "page.mjs").await;
    // Once more from the directory's side: wrong passwords, and nothing else, were counted as such.
    assert_eq!(
        wrong_passwords(&cluster).await,
        said.matches("ok every outcome").count() + said.matches("ok without JavaScript").count()
    );
}

#[tokio::test]
#[ignore = "needs chromium"]
async fn each_organisation_has_its_own_face_and_what_is_refused_is_told_in_words() {
    let cluster = Setup::new(&["--users", "1", "--agents", "1", "--tls-api"])
        .start()
        .await;
    std::fs::write(Path::new(cluster.text("/dir")).join("acme.svg"), LOGO).unwrap();
    let path = cluster.running.config("relay-1");
    let mut text = std::fs::read_to_string(&path).unwrap() + GLOBEX;
    for (from, to) in [
        (
            "display_name = \"Acme\"",
            "display_name = \"Acme & Sons\"\nlogo = \"acme.svg\"",
        ),
        (
            "[limits.per_user]\nper_second = 100000\nburst = 100000",
            "[limits.per_user]\nper_second = 0.001\nburst = 7",
        ),
    ] {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replace(from, to);
    }
    std::fs::write(&path, text).unwrap();
    let (status, answer) = cluster.order("relay-1", "restart").await;
    assert!(status.is_success(), "{answer}");
    cluster.agents_ready(1).await;
    drive(&cluster, "organisations.mjs").await;
    // Neither another site's form nor what nobody could check came to the directory.
    assert_eq!(wrong_passwords(&cluster).await, 0);
}
