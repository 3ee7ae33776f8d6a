//! Envelopes across implementations: what another language's JOSE library (jwcrypto, PyPI) seals opens here, and what is
//! sealed here opens there. `POSTERN_TEST_PYTHON` names a Python with jwcrypto; `python3` without it.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use postern_protocol::seal::{AuthenticatedData, Jwe, OpeningKey, SealingKey};
use postern_protocol::{Password, RequestId};
use serde_json::{Value, json};

/// Seals `password` to every key of `keys` as a caller would: general serialization, `kid` in the recipient's header.
const SEAL: &str = r#"
import json, sys
from jwcrypto import jwe, jwk
task = json.load(sys.stdin)
token = jwe.JWE(task["password"].encode(),
                protected=json.dumps({"alg": "RSA-OAEP-256", "enc": "A256GCM", "typ": "postern+jwe"}),
                aad=json.dumps(task["aad"]))
for key in task["keys"]:
    token.add_recipient(jwk.JWK(**{k: key[k] for k in ("kty", "n", "e")}), header=json.dumps({"kid": key["kid"]}))
print(token.serialize())
"#;

/// Makes a key, prints its public half, then opens the envelope on the next line and prints the password.
const OPEN: &str = r#"
import base64, json, sys
from jwcrypto import jwe, jwk
from cryptography.hazmat.primitives import serialization as s
key = jwk.JWK.generate(kty="RSA", size=2048)
der = key.get_op_key("verify").public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
print(json.dumps({"der": base64.b64encode(der).decode(), "kid": key.thumbprint()}), flush=True)
token = jwe.JWE()
token.deserialize(sys.stdin.readline(), key=key)
print(json.dumps({"password": token.payload.decode()}))
"#;

fn python(script: &str) -> Command {
    let mut command = Command::new(std::env::var("POSTERN_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned()));
    command
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    command
}

fn authenticated(user: &str) -> AuthenticatedData {
    AuthenticatedData {
        expires_unix_ms: 1_790_000_000_000,
        realm: "corp.example.com".to_owned(),
        request_id: RequestId([7; 16]),
        tenant: "acme".to_owned(),
        user: user.to_owned(),
    }
}

#[test]
#[ignore = "needs python3 with jwcrypto"]
fn what_jwcrypto_seals_opens_here_whichever_recipient_one_is() {
    let agents = [OpeningKey::generate().unwrap(), OpeningKey::generate().unwrap()];
    let user = "zoë@corp.example.com";
    // Python's json escapes what is not ASCII and puts blanks after separators: both must be understood.
    let aad = json!({
        "exp": 1_790_000_000_000_u64, "realm": "corp.example.com", "rid": RequestId([7; 16]).to_string(),
        "tenant": "acme", "user": user,
    });
    let keys: Vec<Value> = agents
        .iter()
        .map(|agent| serde_json::to_value(agent.public().jwk()).unwrap())
        .collect();
    let task = json!({ "password": "Pässwörd-日本-€uro", "aad": aad, "keys": keys });
    let mut child = python(SEAL).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(task.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let jwe: Jwe = serde_json::from_slice(&output.stdout).unwrap();
    let parts = jwe.parts().unwrap();
    assert_eq!(parts.authenticated, authenticated(user));
    for agent in agents {
        let wrapped = parts.recipients.get(agent.public().kid()).unwrap();
        let opened = agent
            .unwrap_key(wrapped)
            .unwrap()
            .open(&parts.sealed, &jwe.protected, &jwe.aad)
            .unwrap();
        assert_eq!(opened.expose(), "Pässwörd-日本-€uro");
    }
}

#[test]
#[ignore = "needs python3 with jwcrypto"]
fn what_is_sealed_here_opens_with_jwcrypto_and_the_thumbprints_agree() {
    use std::io::{BufRead, BufReader, Read};
    let mut child = python(OPEN).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let theirs: Value = serde_json::from_str(&line).unwrap();
    let der = BASE64_STANDARD.decode(theirs["der"].as_str().unwrap()).unwrap();
    let key = SealingKey::from_der(&der).unwrap();
    assert_eq!(key.kid(), theirs["kid"]);

    let password = Password::new("Pässwörd-日本-€uro".to_owned().into()).unwrap();
    let stranger = OpeningKey::generate().unwrap();
    let jwe = Jwe::seal(
        &password,
        &authenticated("zoë@corp.example.com"),
        [stranger.public(), &key],
    )
    .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", serde_json::to_string(&jwe).unwrap()).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    let opened: Value = serde_json::from_str(&rest).unwrap();
    assert_eq!(opened["password"], "Pässwörd-日本-€uro");
}
