//! A name that the directory does not take: looked up by an agent, bound by its DN, from the API to the directory.

use serde_json::Value;

use crate::harness::{Cluster, Setup};

const SERVICE: &str = "svc-postern@corp.example.com";

/// Names of the binds that were not the service account's, from the bind of this number on.
async fn bound(cluster: &Cluster, from: usize) -> Vec<String> {
    let binds = cluster.binds().await.into_iter().skip(from);
    let names = binds.map(|bind| bind["name"].as_str().unwrap().to_owned());
    names.filter(|name| name != SERVICE).collect()
}

#[tokio::test]
async fn an_alternate_id_signs_in_as_the_account_that_has_it_and_the_answer_says_which() {
    let cluster = Setup::new(&["--users", "1"]).start().await;
    let of_mail = |user: &&Value| user["username"].as_str().unwrap().ends_with("@mail.example.org");
    let user = cluster.list("users").iter().find(of_mail).unwrap();
    let (name, password) = (user["username"].as_str().unwrap(), user["password"].as_str().unwrap());
    assert!(cluster.binds().await.is_empty(), "nobody has asked for a look-up");

    let answer = cluster.sign_in(name, password).await;
    assert_eq!(answer.outcome(), "success");
    let sam = name.split('@').next().unwrap();
    let url = format!("{}/users/{sam}", cluster.text("/dcs/0/control"));
    let entry: Value = cluster.http.get(url).send().await.unwrap().json().await.unwrap();
    assert!(entry["objectGUID"].is_string(), "{entry}");
    assert_eq!(answer.body["subject"]["object_guid"], entry["objectGUID"]);
    assert_eq!(answer.body["subject"]["upn"], format!("{sam}@corp.example.com"));
    assert_eq!(bound(&cluster, 0).await, [entry["distinguishedName"].as_str().unwrap()]);

    // By the name that the directory takes there is no look-up, and nothing to tell.
    let upn = cluster.sign_in(&format!("{sam}@corp.example.com"), password).await;
    assert_eq!(upn.outcome(), "success");
    assert!(upn.body.get("subject").is_none());

    // In whatever case, and with a wrong password.
    let upper = cluster.sign_in(&name.to_uppercase(), password).await;
    assert_eq!(upper.outcome(), "success");
    let wrong = cluster.sign_in(name, "Certainly-Wrong-1").await;
    assert_eq!((wrong.status.as_u16(), wrong.outcome()), (401, "invalid_credentials"));

    // Nobody has it: the answer is the same, and no password goes to the directory.
    let before = cluster.binds().await.len();
    let mut unknown = cluster.sign_in("nobody.known@mail.example.org", password).await;
    assert_eq!(unknown.status, wrong.status);
    unknown.body["request_id"] = wrong.body["request_id"].clone();
    assert_eq!(unknown.body, wrong.body);
    assert!(bound(&cluster, before).await.is_empty());
}

#[tokio::test]
async fn names_of_both_kinds_that_the_directory_takes_are_bound_as_they_are_typed() {
    let cluster = Setup::new(&["--users", "1"]).start().await;
    for name in ["CORP\\user000001", "corp\\USER000001", "user000001@corp.example.com"] {
        let before = cluster.binds().await.len();
        assert_eq!(cluster.sign_in(name, "Postern-000001").await.outcome(), "success");
        assert_eq!(bound(&cluster, before).await, [name]);
    }
}
