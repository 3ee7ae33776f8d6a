//! The page's HTML. Every value that is not a constant of this crate goes through [`Text`], which escapes it.
//!
//! There are three views in one frame; the script exchanges the frame's `main` and nothing else. What is rendered is
//! never given a password.

use std::fmt::{self, Write as _};

use postern_protocol::RealmKey;

use super::brand::Brand;
use super::files::ADDRESSES;

/// What a page shows.
pub(super) enum View<'a> {
    /// The first step: the user name.
    Name {
        /// What was typed before, when something was wrong with it.
        typed: &'a str,
        /// What was wrong.
        problem: Option<&'a str>,
    },
    /// The second step: the password.
    Password {
        /// Whose.
        user: &'a str,
        /// Where it belongs, for the script that seals it.
        realm: &'a RealmKey,
        /// Why it is asked for again.
        problem: Option<&'a str>,
        /// Of the try before, for the help desk.
        request_id: Option<&'a str>,
    },
    /// How it ended.
    End(End<'a>),
}

/// How a sign-in ended, or why there is none.
#[derive(Default)]
pub(super) struct End<'a> {
    pub(super) title: &'a str,
    pub(super) text: &'a [&'a str],
    /// Who signed in.
    pub(super) user: Option<&'a str>,
    /// Whether it is a success.
    pub(super) good: bool,
    pub(super) next: Next,
    /// For the help desk.
    pub(super) request_id: Option<&'a str>,
    /// Who sealed the password: the browser, or we.
    pub(super) sealed_in_browser: Option<bool>,
}

/// What is offered to click.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Next {
    /// Nothing but another person's sign-in.
    Nothing,
    /// The second step again.
    TryAgain,
    /// The second step again, once the password is changed.
    NewPassword,
    /// The first step.
    #[default]
    StartAgain,
}

/// A text in HTML, between tags or within a quoted attribute.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A whole page.
pub(super) fn page(brand: &Brand, view: &View<'_>) -> String {
    let mut html = String::with_capacity(4096);
    // Writing to a string cannot fail.
    let _ = write_page(&mut html, brand, view);
    html
}

fn write_page(html: &mut String, brand: &Brand, view: &View<'_>) -> fmt::Result {
    let title = match view {
        View::Name { problem: None, .. } => "Sign in",
        View::Password { problem: None, .. } => "Enter your password",
        // Heard first by whoever listens to the page.
        View::Name { .. } | View::Password { .. } => "Please check: sign in",
        View::End(end) => end.title,
    };
    write!(
        html,
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title}{of}</title>
<link rel="icon" type="image/svg+xml" href="{icon}">
<link rel="stylesheet" href="{style}">
<script src="{script}" defer></script>
</head>
<body>
<main>
"#,
        title = Text(title),
        of = Text(
            &brand
                .name
                .as_deref()
                .map(|name| format!(" · {name}"))
                .unwrap_or_default()
        ),
        icon = ADDRESSES.icon,
        style = ADDRESSES.style,
        script = ADDRESSES.script,
    )?;
    write_brand(html, brand)?;
    match view {
        View::Name { typed, problem } => write_name(html, typed, *problem)?,
        View::Password {
            user,
            realm,
            problem,
            request_id,
        } => {
            write_password(html, brand, user, realm, *problem)?;
            write_reference(html, *request_id)?;
        }
        View::End(end) => write_end(html, brand, end)?,
    }
    html.write_str("</main>\n</body>\n</html>\n")
}

fn write_brand(html: &mut String, brand: &Brand) -> fmt::Result {
    html.write_str("<div class=\"brand\">")?;
    match &brand.logo {
        // The name stands beside it, so it needs no text of its own.
        Some(path) => write!(html, r#"<span class="logo"><img src="{}" alt=""></span>"#, Text(path))?,
        None => write!(
            html,
            r#"<img class="mark" src="{}" alt="" width="40" height="40">"#,
            ADDRESSES.icon
        )?,
    }
    if let Some(name) = &brand.name {
        write!(html, r#"<span class="organisation">{}</span>"#, Text(name))?;
    }
    html.write_str("</div>\n")
}

fn write_name(html: &mut String, typed: &str, problem: Option<&str>) -> fmt::Result {
    html.write_str("<h1>Sign in</h1>\n<form method=\"post\" action=\"/sign-in\">\n")?;
    write_problem(html, problem)?;
    writeln!(
        html,
        r#"<label for="username">User name</label>
<input id="username" name="username" type="text" value="{}" autocomplete="username" autocapitalize="none" autocorrect="off" spellcheck="false" inputmode="email" required autofocus{}>
<p class="hint" id="hint">Like name@example.com or EXAMPLE\name</p>
<button type="submit">Next</button>
</form>"#,
        Text(typed),
        described(problem, "hint"),
    )
}

fn write_password(
    html: &mut String,
    brand: &Brand,
    user: &str,
    realm: &RealmKey,
    problem: Option<&str>,
) -> fmt::Result {
    html.write_str("<h1>Enter your password</h1>\n")?;
    write_person(html, user, "Not you?")?;
    writeln!(
        html,
        r#"<form method="post" action="/sign-in" data-tenant="{}" data-realm="{}">"#,
        Text(realm.tenant.as_str()),
        Text(realm.realm.as_str()),
    )?;
    write_problem(html, problem)?;
    // The name is in a field, so that a password manager keeps the two together.
    write!(
        html,
        r#"<input name="username" type="text" value="{}" autocomplete="username" readonly hidden>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus{}>
<button type="submit" data-busy="Signing in…">Sign in</button>
"#,
        Text(user),
        described(problem, "sealing"),
    )?;
    // What the script puts in its place once it is sure that it can.
    writeln!(
        html,
        r#"<p class="sealing" id="sealing" data-sealed="It is sealed in this browser for {to}. This site cannot read it.">This site seals it for {to} as soon as it arrives, and does not keep it.</p>
</form>"#,
        to = Text(organisation(brand)),
    )
}

/// Who it is about, and the way to somebody else's sign-in.
fn write_person(html: &mut String, user: &str, other: &str) -> fmt::Result {
    // Where a long name may be broken: before what names the organisation, or after it.
    let at = user
        .find('@')
        .or_else(|| user.find('\\').map(|at| at + 1))
        .unwrap_or_default();
    let (before, after) = user.split_at_checked(at).unwrap_or(("", user));
    writeln!(
        html,
        r#"<p class="person"><span class="name">{}<wbr>{}</span> <a href="/">{other}</a></p>"#,
        Text(before),
        Text(after)
    )
}

fn write_problem(html: &mut String, problem: Option<&str>) -> fmt::Result {
    match problem {
        Some(problem) => writeln!(
            html,
            r#"<p class="problem" id="problem" role="alert">{}</p>"#,
            Text(problem)
        ),
        // The place where the script says what went wrong.
        None => html.write_str("<p class=\"problem\" id=\"problem\" role=\"alert\" hidden></p>\n"),
    }
}

/// A field's description: what was wrong with it first, then its hint.
fn described(problem: Option<&str>, hint: &'static str) -> String {
    match problem {
        Some(_) => format!(r#" aria-invalid="true" aria-describedby="problem {hint}""#),
        None => format!(r#" aria-describedby="{hint}""#),
    }
}

fn write_end(html: &mut String, brand: &Brand, end: &End<'_>) -> fmt::Result {
    let kind = if end.good { "good" } else { "bad" };
    writeln!(html, r#"<h1 class="{kind}" tabindex="-1">{}</h1>"#, Text(end.title))?;
    if let Some(user) = end.user {
        let other = if end.good { "Switch user" } else { "Not you?" };
        write_person(html, user, other)?;
    }
    for paragraph in end.text {
        writeln!(html, "<p>{}</p>", Text(paragraph))?;
    }
    let again = match end.next {
        Next::TryAgain => Some("Try again"),
        Next::NewPassword => Some("Sign in with the new password"),
        Next::Nothing | Next::StartAgain => None,
    };
    match (again, end.user) {
        (Some(again), Some(user)) => writeln!(
            html,
            r#"<form method="post" action="/sign-in">
<input name="username" type="hidden" value="{}">
<button type="submit">{again}</button>
</form>"#,
            Text(user)
        )?,
        _ if end.next == Next::Nothing => {}
        _ => writeln!(html, r#"<a class="button" href="/">Back to sign in</a>"#)?,
    }
    if let Some(in_browser) = end.sealed_in_browser {
        let to = Text(organisation(brand));
        match in_browser {
            true => writeln!(
                html,
                r#"<p class="sealing sealed">Your password was sealed in your browser for {to}. This site could not read it.</p>"#
            )?,
            false => writeln!(
                html,
                r#"<p class="sealing">This site sealed your password for {to} and did not keep it.</p>"#
            )?,
        }
    }
    write_reference(html, end.request_id)
}

fn write_reference(html: &mut String, request_id: Option<&str>) -> fmt::Result {
    let Some(id) = request_id else { return Ok(()) };
    writeln!(
        html,
        r#"<p class="reference">Reference for your help desk: <code>{}</code></p>"#,
        Text(id)
    )
}

fn organisation(brand: &Brand) -> &str {
    brand.name.as_deref().unwrap_or("your organisation")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "</p><script>alert(\"1\")</script>'&";

    fn realm() -> RealmKey {
        RealmKey {
            tenant: "acme".parse().unwrap(),
            realm: "corp".parse().unwrap(),
        }
    }

    #[test]
    fn nothing_that_comes_from_outside_is_markup_wherever_it_stands() {
        let brand = Brand {
            name: Some(NASTY.to_owned()),
            logo: Some(NASTY.to_owned()),
        };
        let realm = realm();
        let end = End {
            title: NASTY,
            text: &[NASTY],
            user: Some(NASTY),
            next: Next::TryAgain,
            request_id: Some(NASTY),
            sealed_in_browser: Some(true),
            ..End::default()
        };
        let views = [
            View::Name {
                typed: NASTY,
                problem: Some(NASTY),
            },
            View::Password {
                user: NASTY,
                realm: &realm,
                problem: Some(NASTY),
                request_id: Some(NASTY),
            },
            View::End(end),
        ];
        for view in views {
            let html = page(&brand, &view);
            // The page's own script has an address and no content.
            assert_eq!(html.matches("<script").count(), 1, "{html}");
            assert!(!html.contains("alert(\"") && !html.contains("'&"), "{html}");
            assert!(html.contains("&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;"));
        }
    }

    #[test]
    fn no_page_has_an_inline_script_or_style_or_asks_another_host() {
        let realm = realm();
        let views = [
            View::Name {
                typed: "",
                problem: None,
            },
            View::Password {
                user: "a@b",
                realm: &realm,
                problem: None,
                request_id: None,
            },
            View::End(End::default()),
        ];
        for view in views {
            let html = page(&Brand::default(), &view);
            for refused in [
                "<style",
                " style=",
                " onclick=",
                "javascript:",
                "http://",
                "https://",
                "url(",
            ] {
                assert!(!html.contains(refused), "{refused} in {html}");
            }
        }
    }
}
