use super::environment::environment_value;
use super::*;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    api: Option<RawApi>,
    #[serde(default)]
    log: LogConfig,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApi {
    listen: Option<String>,
    rate: Option<u32>,
    names: Option<Vec<String>>,
    callers: Option<Vec<RawCaller>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCaller {
    name: Option<String>,
    groups: Option<Vec<String>>,
}

#[derive(Debug)]
struct Typed {
    listen: std::net::SocketAddr,
    rate: Option<u32>,
    names: Vec<String>,
    log: LogConfig,
}

impl RawConfig for Raw {
    type Config = Typed;
    fn validate(self, _: &Path, problems: &mut Problems) -> Option<Typed> {
        let api = problems.require("api", self.api)?;
        let listen = problems
            .require("api.listen", api.listen)
            .and_then(|t| problems.parse("api.listen", &t));
        if api.rate == Some(0) {
            problems.add("api.rate", "must be at least 1");
        }
        if api.names.as_ref().is_some_and(Vec::is_empty) {
            problems.add("api.names", "must not be empty");
        }
        for (index, caller) in api.callers.unwrap_or_default().into_iter().enumerate() {
            problems.require(&format!("api.callers[{index}].name"), caller.name);
            for (group, name) in caller.groups.unwrap_or_default().iter().enumerate() {
                if name.is_empty() {
                    problems.add(format!("api.callers[{index}].groups[{group}]"), "must not be empty");
                }
            }
        }
        Some(Typed {
            listen: listen?,
            rate: api.rate,
            names: api.names.unwrap_or_default(),
            log: self.log,
        })
    }
    fn log(config: &Typed) -> &LogConfig {
        &config.log
    }
}

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Typed, ConfigError> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    parse::<Raw>(text, Path::new("test.toml"), Path::new("."), environment)
}

#[test]
fn every_problem_is_named_at_once_with_its_key() {
    let text = "[api]\nlisten = \"nowhere\"\nrate = \"many\"\nlisen = 1\nnames = [\"a\", 3]\n[lgo]\n";
    let error = read(text, &[]).unwrap_err().to_string();
    for key in [
        "api.listen: \"nowhere\"",
        "api.rate: ",
        "api.lisen: unknown field",
        "api.names[1]: ",
        "lgo: unknown",
    ] {
        assert!(error.contains(key), "{key} is not in: {error}");
    }
    assert!(error.contains("5 problems"), "{error}");
}

#[test]
fn a_value_of_the_wrong_kind_is_not_called_missing_as_well() {
    let error = read("[api]\nlisten = 7\n", &[]).unwrap_err().to_string();
    assert!(error.contains("one problem"), "{error}");
}

/// The keys of the problems of `[api]` with these lines.
fn keys(lines: &str) -> Vec<String> {
    match read(&format!("[api]\nlisten = \"127.0.0.1:1\"\n{lines}\n"), &[]) {
        Err(ConfigError::Invalid { problems, .. }) => problems.iter().map(|(key, _)| key.to_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_wrong_element_of_an_array_has_its_index_in_the_file() {
    assert_eq!(
        keys("names = [\"a\", 3, 4, \"b\", 5]"),
        ["api.names[1]", "api.names[2]", "api.names[4]"]
    );
}

#[test]
fn every_wrong_table_of_an_array_has_its_index_in_the_file_also_when_validation_finds_it() {
    let callers = "callers = [1, {name = 2}, {name = \"a\"}, 3, {}, \
                   {name = \"b\", groups = [4, \"x\", \"\", 5, \"\"]}, {nam = \"c\"}]";
    let mut found = keys(callers);
    found.sort();
    let wanted = [
        "api.callers[0]",
        "api.callers[1].name",
        "api.callers[3]",
        "api.callers[4].name",
        "api.callers[5].groups[0]",
        "api.callers[5].groups[2]",
        "api.callers[5].groups[3]",
        "api.callers[5].groups[4]",
        "api.callers[6].nam",
        "api.callers[6].name",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn an_array_whose_elements_could_not_be_read_is_not_called_empty_as_well() {
    assert_eq!(keys("names = [3]"), ["api.names[0]"]);
}

#[test]
fn an_override_that_looks_like_a_date_or_a_table_is_text() {
    for text in ["1979-05-27", "{}", "{a = 1}", "x = y"] {
        assert_eq!(environment_value(text), toml::Value::String(text.to_owned()));
    }
    assert_eq!(environment_value("\"7\""), toml::Value::String("7".to_owned()));
}

#[test]
fn the_environment_overrides_the_file_and_may_add_a_section() {
    let environment = [
        ("POSTERN_API__LISTEN", "127.0.0.1:9"),
        ("POSTERN_API__RATE", "7"),
        ("POSTERN_API__NAMES", "[\"x\"]"),
        ("POSTERN_SERVICE_PASSWORD", "not a setting"),
        ("POSTERN_LOG__LEVEL", "debug"),
    ];
    let typed = read("[api]\nlisten = \"127.0.0.1:1\"\n", &environment).unwrap();
    assert_eq!(typed.listen.port(), 9);
    assert_eq!(typed.rate, Some(7));
    assert_eq!(typed.names, ["x"]);
    assert_eq!(typed.log.level, "debug");
}

#[test]
fn an_unknown_override_is_refused_like_an_unknown_key() {
    let error = read("[api]\nlisten = \"127.0.0.1:1\"\n", &[("POSTERN_API__LISEN", "x")]).unwrap_err();
    assert!(error.to_string().contains("api.lisen: unknown field"), "{error}");
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let error = read("[api\n", &[]).unwrap_err().to_string();
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn what_the_environment_set_is_not_called_the_files() {
    let text = "[api]\nlisten = \"127.0.0.1:1\"\n";
    let error = read(text, &[("POSTERN_API__LISTEN", "nowhere")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("(set by POSTERN_API__LISTEN in the environment)"),
        "{error}"
    );
    let error = read(text, &[("POSTERN_API__RATE", "many")]).unwrap_err().to_string();
    assert!(error.contains("expected a whole number"), "{error}");
    assert!(
        error.contains("(set by POSTERN_API__RATE in the environment)"),
        "{error}"
    );
    let error = read("[api]\nlisten = \"nowhere\"\n", &[]).unwrap_err().to_string();
    assert!(!error.contains("environment"), "{error}");
}
