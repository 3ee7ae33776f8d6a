//! The sign-in page as a browser without JavaScript sees it, and as a hostile site would like to use it.

use postern_protocol::seal::{AuthenticatedData, Jwe};
use postern_protocol::{Password, Verdict};
use reqwest::Response;
use reqwest::header::{HeaderMap, ORIGIN};

use crate::rig::{Agent, Rig};
use crate::sign_ins::{authenticated, verdict};

const PASSWORD: &str = "Never-In-A-Page-9";
const USER: &str = "gina@corp.example.com";

/// `acme` has a name and a logo; `globex` has neither.
const PAGE: &str = "[page]\ndisclose = \"full\"\n";

const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";

fn rig() -> Rig {
    Rig::start_with(PAGE)
}

/// What came, less the connection.
struct Seen {
    status: u16,
    headers: HeaderMap,
    html: String,
}

async fn seen(response: Response) -> Seen {
    Seen {
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        html: response.text().await.unwrap(),
    }
}

impl Seen {
    fn title(&self) -> &str {
        let (_, rest) = self.html.split_once("<title>").unwrap();
        rest.split_once("</title>").unwrap().0
    }
}

async fn get(rig: &Rig, path: &str) -> Seen {
    seen(rig.http.get(format!("http://{}{path}", rig.api)).send().await.unwrap()).await
}

/// Posts a form as a browser does that says where it comes from by `Origin` alone.
async fn post(rig: &Rig, fields: &[(&str, &str)]) -> Seen {
    post_from(rig, fields, &[("origin", &format!("http://{}", rig.api))]).await
}

async fn post_from(rig: &Rig, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Seen {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    let mut request = rig
        .http
        .post(format!("http://{}/sign-in", rig.api))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(fields.join("&"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    seen(request.send().await.unwrap()).await
}

/// Signs in while `agent` answers with `expected`.
async fn signed_in(rig: &Rig, agent: &Agent, expected: Verdict) -> Seen {
    let serve = async {
        let mut task = agent.request().await;
        assert_eq!(agent.open(&task.request).expose(), PASSWORD);
        task.answer(verdict(expected)).await;
        task.request.request_id.to_string()
    };
    let (page, id) = tokio::join!(post(rig, &[("username", USER), ("password", PASSWORD)]), serve);
    assert_eq!(page.headers["x-request-id"], id);
    page
}

#[tokio::test]
async fn a_person_signs_in_with_two_forms_and_no_script() {
    let rig = rig();
    let agent = rig.agent("agent-1").await;
    let first = get(&rig, "/").await;
    assert_eq!(first.status, 200);
    assert!(
        first
            .html
            .contains(r#"name="username" type="text" value="" autocomplete="username""#)
    );
    assert!(!first.html.contains("type=\"password\""));

    let second = post(&rig, &[("username", "  gina@CORP.example.com ")]).await;
    assert_eq!((second.status, second.title()), (200, "Enter your password"));
    assert!(
        second
            .html
            .contains(r#"<span class="name">gina<wbr>@CORP.example.com</span>"#)
    );
    assert!(
        second
            .html
            .contains(r#"value="gina@CORP.example.com" autocomplete="username" readonly hidden"#)
    );
    assert!(
        second
            .html
            .contains(r#"type="password" autocomplete="current-password""#)
    );
    assert!(second.html.contains(r#"data-tenant="acme" data-realm="corp""#));

    let end = signed_in(&rig, &agent, Verdict::Success).await;
    assert_eq!((end.status, end.title()), (200, "You are signed in"));
    assert!(end.html.contains("gina<wbr>@corp.example.com"));
    assert!(end.html.contains("This site sealed your password"));
    assert!(end.html.contains(r#"<a href="/">Switch user</a>"#));
}

#[tokio::test]
async fn every_verdict_has_the_apis_status_and_words_and_never_the_password() {
    let rig = rig();
    let agent = rig.agent("agent-1").await;
    let mut titles = std::collections::BTreeSet::new();
    for expected in Verdict::ALL {
        let page = signed_in(&rig, &agent, expected).await;
        assert_eq!(page.status, if expected == Verdict::Success { 200 } else { 401 });
        assert_eq!(page.headers["postern-outcome"], expected.as_str());
        assert_eq!(page.headers.contains_key("www-authenticate"), page.status == 401);
        assert!(!page.html.contains(PASSWORD));
        assert!(titles.insert(page.title().to_owned()), "{}", page.title());
    }
}

#[tokio::test]
async fn a_wrong_password_asks_for_it_again_beside_the_same_name() {
    let rig = rig();
    let agent = rig.agent("agent-1").await;
    let page = signed_in(&rig, &agent, Verdict::InvalidCredentials).await;
    assert!(
        page.html
            .contains(r#"<p class="problem" id="problem" role="alert">That user name and password"#)
    );
    assert!(
        page.html
            .contains(r#"required autofocus aria-invalid="true" aria-describedby="problem sealing""#)
    );
    assert!(page.html.contains(USER));
}

#[tokio::test]
async fn to_the_public_a_locked_account_and_a_wrong_password_are_one_page() {
    let rig = Rig::start_with("[page]\n");
    let agent = rig.agent("agent-1").await;
    let wrong = signed_in(&rig, &agent, Verdict::InvalidCredentials).await;
    let locked = signed_in(&rig, &agent, Verdict::AccountLocked).await;
    let text = |page: &Seen| page.html.replace(page.headers["x-request-id"].to_str().unwrap(), "ID");
    assert_eq!((wrong.status, text(&wrong)), (locked.status, text(&locked)));
    let comparable = |page: &Seen| {
        let mut headers = page.headers.clone();
        headers.remove("x-request-id");
        headers.remove("date");
        headers
    };
    assert_eq!(comparable(&wrong), comparable(&locked));
    assert_eq!(
        signed_in(&rig, &agent, Verdict::PasswordExpired).await.title(),
        "Your password has expired"
    );
}

#[tokio::test]
async fn what_a_browser_sealed_reaches_the_agent_as_it_is() {
    let rig = rig();
    let agent = rig.agent("agent-1").await;
    let sealed_to = |authenticated: &AuthenticatedData| {
        let password = Password::new(PASSWORD.to_owned().into()).unwrap();
        let jwe = Jwe::seal(&password, authenticated, [agent.key.public()]).unwrap();
        serde_json::to_string(&jwe).unwrap()
    };
    let bound = authenticated(USER);
    let serve = async {
        let mut task = agent.request().await;
        assert!(task.request.client_sealed.is_some());
        assert_eq!(agent.open(&task.request).expose(), PASSWORD);
        task.answer(verdict(Verdict::Success)).await;
    };
    let jwe = sealed_to(&bound);
    let form = [("username", USER), ("jwe", jwe.as_str())];
    let (page, ()) = tokio::join!(post(&rig, &form), serve);
    assert_eq!(page.title(), "You are signed in");
    assert!(page.html.contains("Your password was sealed in your browser"));
    assert!(page.html.contains(&bound.request_id.to_string()));

    let again = post(&rig, &form).await;
    assert!(!again.html.contains("othing was tried"), "the first copy was");
    assert_eq!(
        (again.status, &again.headers["postern-outcome"]),
        (400, &"bad_request".parse().unwrap())
    );
    let other = post(
        &rig,
        &[
            ("username", "other@corp.example.com"),
            ("jwe", &sealed_to(&authenticated(USER))),
        ],
    )
    .await;
    assert_eq!(other.status, 400);
}

#[tokio::test]
async fn only_a_form_of_our_own_page_is_taken() {
    let rig = rig();
    let _agent = rig.agent("agent-1").await;
    let fields = [("username", USER), ("password", PASSWORD)];
    let own = format!("http://{}", rig.api);
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        let page = post_from(&rig, &fields, headers).await;
        // Had it been taken, it would wait here for the agent.
        assert_eq!(
            (page.status, page.title()),
            (403, "That did not come from this page"),
            "{headers:?}"
        );
    }
    for headers in [
        &[("sec-fetch-site", "same-origin"), ("origin", "null")][..],
        &[(ORIGIN.as_str(), &own)],
        &[],
    ] {
        let page = post_from(&rig, &[("username", USER)], headers).await;
        assert_eq!(page.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn everything_is_guarded_and_no_page_is_kept() {
    let rig = rig();
    let pages = [
        get(&rig, "/").await,
        post(&rig, &[("username", USER)]).await,
        post(&rig, &[("username", "nobody")]).await,
        post(&rig, &[("username", USER), ("password", "")]).await,
        post(&rig, &[("username", USER), ("password", PASSWORD)]).await,
        post_from(&rig, &[("username", USER)], &[("origin", "null")]).await,
    ];
    assert_eq!(pages.each_ref().map(|page| page.status), [200, 200, 400, 400, 503, 403]);
    for page in &pages {
        assert_eq!(
            page.headers["content-security-policy"],
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        assert_eq!(page.headers["cache-control"], "no-store");
        assert_eq!(page.headers["cross-origin-opener-policy"], "same-origin");
        assert!(page.headers.contains_key("permissions-policy"));
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert!(!page.html.contains(PASSWORD));
    }
    let script = pages[0]
        .html
        .split('"')
        .find(|part| part.starts_with("/page/sign-in.js?v="))
        .unwrap();
    for (path, kept) in [
        (script, true),
        ("/page/sign-in.js", false),
        ("/page/sign-in.js?v=0", false),
    ] {
        let file = get(&rig, path).await;
        assert_eq!(file.headers["content-type"], "text/javascript; charset=utf-8");
        assert_eq!(file.headers["x-content-type-options"], "nosniff");
        assert_eq!(file.headers["cache-control"] != "no-store", kept, "{path}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_name_comes_back_as_text() {
    let rig = rig();
    let page = post(&rig, &[("username", "\"><script>alert(1)</script>@corp.example.com")]).await;
    assert_eq!(page.status, 400);
    assert!(
        page.html
            .contains(r#"value="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;@corp.example.com""#)
    );
    for (name, word) in [
        ("", "Enter your user name"),
        ("gina", "full user name"),
        ("a@nowhere", "organisation"),
    ] {
        let page = post(&rig, &[("username", name)]).await;
        assert_eq!(page.status, 400);
        assert!(
            page.html.contains(r#"role="alert""#) && page.html.contains(word),
            "{name}: {}",
            page.html
        );
    }
    let page = post(&rig, &[("username", &"&".repeat(2_000))]).await;
    assert_eq!(page.status, 400);
    assert!(page.html.contains("too long") && !page.html.contains("&amp;&amp;"));
}

#[tokio::test]
async fn a_form_that_is_none_is_refused_without_a_bind() {
    let rig = rig();
    let _agent = rig.agent("agent-1").await;
    for fields in [
        &[("username", USER), ("password", PASSWORD), ("password", PASSWORD)][..],
        &[("username", USER), ("password", PASSWORD), ("jwe", "{}")],
        &[("username", USER), ("password", PASSWORD), ("remember", "1")],
        &[("username", USER), ("jwe", "{}")],
        &[("password", PASSWORD)],
        &[("username", USER), ("password", &"x".repeat(1025))],
        &[("username", USER), ("password", &"x".repeat(17_000))],
        &[("username", USER), ("password", "nul\0")],
    ] {
        let page = post(&rig, fields).await;
        assert_eq!(page.status, 400, "{}", page.html);
        assert!(!page.html.contains(PASSWORD));
    }
    let url = format!("http://{}/sign-in", rig.api);
    let json = rig
        .http
        .post(url)
        .json(&serde_json::json!({ "username": USER, "password": PASSWORD }));
    assert_eq!(seen(json.send().await.unwrap()).await.status, 400);
}

#[tokio::test]
async fn a_tenants_name_and_logo_show_once_the_user_name_tells_the_tenant() {
    let logo = std::env::temp_dir().join(format!("postern-logo-{}.svg", std::process::id()));
    std::fs::write(&logo, LOGO).unwrap();
    let acme = format!("display_name = \"Acme & Sons\"\nlogo = {:?}\n", logo.to_str().unwrap());
    let rig =
        Rig::start_changed(|config| config.replace("name = \"acme\"\n", &format!("name = \"acme\"\n{acme}")) + PAGE);
    std::fs::remove_file(&logo).unwrap();

    assert!(
        !get(&rig, "/").await.html.contains("Acme"),
        "several tenants: none of them yet"
    );
    let page = post(&rig, &[("username", USER)]).await;
    assert_eq!(page.title(), "Enter your password · Acme &amp; Sons");
    let path = page
        .html
        .split('"')
        .find(|part| part.starts_with("/page/logo/"))
        .unwrap();
    let image = get(&rig, path).await;
    assert_eq!(image.html, LOGO);
    assert_eq!(image.headers["content-type"], "image/svg+xml");
    assert!(
        image.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .ends_with("; sandbox")
    );
    let other = post(&rig, &[("username", "a@plant.example.com")]).await;
    assert!(!other.html.contains("Acme") && !other.html.contains("/page/logo/"));
    assert_eq!(get(&rig, "/page/logo/0000000000000000").await.status, 404);
}

#[tokio::test]
async fn a_single_tenants_page_is_its_own_from_the_beginning() {
    let rig = Rig::start_changed(|config| {
        let (before, rest) = config.split_once("[[tenants]]\nname = \"globex\"").unwrap();
        let (_, rest) = rest.split_once("[[realms]]").unwrap();
        let (realm, rest) = rest.split_once("[[realms]]").unwrap();
        let (_, rest) = rest.split_once("[limits]").unwrap();
        let before = before.replace("name = \"acme\"\n", "name = \"acme\"\ndisplay_name = \"Acme\"\n");
        format!("{before}[[realms]]{realm}[limits]{rest}{PAGE}")
    });
    assert_eq!(get(&rig, "/").await.title(), "Sign in · Acme");
}

#[tokio::test]
async fn the_limits_of_the_api_hold_for_the_page_and_say_how_long_to_wait() {
    let rig = Rig::start_changed(|config| {
        let strict = "per_user = { per_second = 0.1, burst = 1 }";
        config.replace("per_user = { per_second = 1000, burst = 1000 }", strict) + PAGE
    });
    let agent = rig.agent("agent-1").await;
    signed_in(&rig, &agent, Verdict::InvalidCredentials).await;
    let page = post(&rig, &[("username", "GINA@corp.example.com"), ("password", PASSWORD)]).await;
    assert_eq!((page.status, page.title()), (429, "Too many tries"));
    let wait = page.headers["retry-after"].to_str().unwrap().to_owned();
    assert!(
        page.html.contains(&format!("Wait {wait} seconds")),
        "{wait}: {}",
        page.html
    );

    assert!(!page.html.contains("sealed"), "it was not: {}", page.html);

    // All visitors together are one caller.
    for kind in ["per_address", "per_caller"] {
        let rig = Rig::start_changed(|config| {
            let strict = format!("{kind} = {{ per_second = 0.1, burst = 1 }}");
            config.replace(&format!("{kind} = {{ per_second = 1000, burst = 1000 }}"), &strict) + PAGE
        });
        assert_eq!(post(&rig, &[("username", USER)]).await.status, 200, "{kind}");
        assert_eq!(post(&rig, &[("username", USER)]).await.status, 429, "{kind}");
    }
}

#[tokio::test]
async fn without_callers_the_page_is_for_this_machine_and_with_them_for_all() {
    let callers = format!(
        "{PAGE}[[callers]]\nname = \"a\"\ntoken_sha256 = \"{}\"\n",
        "0".repeat(64)
    );
    for (extra, status) in [(PAGE, 403), (callers.as_str(), 200)] {
        let rig = Rig::start_with(extra);
        let beyond = [("x-forwarded-for", "192.0.2.1"), ("sec-fetch-site", "same-origin")];
        let page = post_from(&rig, &[("username", USER)], &beyond).await;
        assert_eq!(page.status, status, "{}", page.html);
    }
}

#[tokio::test]
async fn there_is_no_page_unless_it_is_asked_for() {
    let rig = Rig::start();
    assert_eq!(get(&rig, "/").await.status, 404);
    assert_eq!(post(&rig, &[("username", USER)]).await.status, 404);
}

#[tokio::test]
async fn other_methods_and_paths_are_told_so_and_an_opened_form_address_leads_to_the_page() {
    let rig = rig();
    assert_eq!(get(&rig, "/sign-in").await.title(), "Sign in", "led to the first step");
    let delete = rig.http.delete(format!("http://{}/", rig.api)).send().await.unwrap();
    assert_eq!(delete.status().as_u16(), 405);
    assert_eq!(get(&rig, "/page/../etc").await.status, 404);
}

#[tokio::test]
async fn a_failure_of_ours_offers_another_try_and_blames_nobody() {
    let rig = rig();
    let page = post(&rig, &[("username", USER), ("password", PASSWORD)]).await;
    assert_eq!((page.status, page.title()), (503, "We cannot sign you in right now"));
    assert!(page.headers.contains_key("retry-after"));
    assert!(page.html.contains("not counted as a wrong password") && page.html.contains(">Try again</button>"));
}
