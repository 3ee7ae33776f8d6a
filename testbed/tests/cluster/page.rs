//! The sign-in page in a real browser: `testbed/tests/browser/page.mjs` drives Chromium against a running cluster.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::harness::Setup;

/// Some minutes on a busy machine. Beyond it something hangs.
const PATIENCE: Duration = Duration::from_secs(900);

#[tokio::test]
#[ignore = "needs chromium"]
async fn people_sign_in_at_the_page_with_and_without_javascript_and_everybody_can_read_it() {
    let modules = std::env::var_os("POSTERN_TEST_BROWSER").expect(
        "POSTERN_TEST_BROWSER must name a folder in which `npm ci` was run with the package.json of \
         testbed/tests/browser",
    );
    let cluster = Setup::new(&["--users", "1"]).start().await;
    let pictures = Path::new(cluster.text("/dir")).join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/page.mjs");
    let node = Command::new("node")
        .arg(script)
        .arg(cluster.text("/relays/0/api"))
        .arg(std::env::var_os("POSTERN_TEST_PICTURES").unwrap_or_else(|| pictures.into_os_string()))
        .arg(cluster.about["users"].to_string())
        .env("POSTERN_TEST_BROWSER", modules)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, node).await.expect("the browser hangs").unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.ends_with("ok all\n"),
        "{}\n{said}{complained}",
        output.status
    );
    // Once more from the directory's side: wrong passwords, and nothing else, were counted as such.
    let wrong = cluster
        .binds()
        .await
        .iter()
        .filter(|bind| bind["sub_code"] == "52e")
        .count();
    assert_eq!(
        wrong,
        said.matches("ok every outcome").count() + said.matches("ok without JavaScript").count()
    );
}
