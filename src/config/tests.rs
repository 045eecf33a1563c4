//! The configuration file: what it may say, and how all that is wrong with it
//! is told at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use super::*;

const EXAMPLE: &str = include_str!("../../deploy/drawbridge.toml");

fn folder_with_secrets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("secrets")).unwrap();
    for application in ["opsera", "hydden", "rest", "snyk"] {
        let secret = folder.path().join("secrets").join(application);
        fs::write(&secret, "a-token\n").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

fn read_text(text: &str) -> Result<Config, Problems> {
    let folder = folder_with_secrets();
    let path = folder.path().join("drawbridge.toml");
    fs::write(&path, text).unwrap();
    read(&path)
}

fn problems(text: &str) -> Vec<Problem> {
    read_text(text).unwrap_err().list().to_vec()
}

#[test]
fn the_example_is_in_order_and_shows_the_defaults() {
    let plain = read_text(EXAMPLE).unwrap();
    let [connection] = &plain.connections[..] else {
        panic!("one connection");
    };
    assert_eq!(connection.policy.sync_wait, Duration::from_secs(5));
    assert!(connection.tokens.ends_with("secrets/acme.tokens"));
    assert!(plain.store.is_absolute());

    // Every commented key is one that exists, and what it shows is the default.
    let is_key = |line: &str| {
        let bare = |key: &str| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        line.starts_with('[')
            || line
                .split_once(" = ")
                .is_some_and(|(key, _)| bare(key) || key.starts_with('"'))
    };
    let full: String = EXAMPLE
        .lines()
        .map(
            |line| match line.strip_prefix("# ").filter(|line| is_key(line)) {
                Some(line) if !line.contains(".pem\"") => format!("{line}\n"),
                _ => format!("{line}\n"),
            },
        )
        .collect();
    let full = read_text(&full).unwrap();
    let same = |config: &Config| format!("{:?}", config.connections[0].policy);
    assert_eq!(same(&full), same(&plain));
    assert_eq!(full.log, plain.log);
    assert_eq!(
        full.front.public_url.as_deref(),
        Some("https://scim.example.com")
    );
    let defaults = http::Settings {
        workers: full.front.workers,
        public_url: full.front.public_url.clone(),
        ..http::Settings::default()
    };
    assert_eq!(full.front, defaults);
}

#[test]
fn the_example_leaves_no_key_out() {
    let shown: Vec<&str> = EXAMPLE
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split([' ', ']']).next())
        .map(|word| word.trim_start_matches('['))
        .collect();
    for kind in ["opsera", "hydden", "snyk"] {
        let text = "zzzzzzzzzz = 1\n[store]\nzzzzzzzzzz = 1\n[http]\nzzzzzzzzzz = 1\n[log]\n\
        zzzzzzzzzz = 1\n[[connection]]\nzzzzzzzzzz = 1\ntokens = { zzzzzzzzzz = 1 }\n\
        [connection.limits]\nzzzzzzzzzz = 1\n[connection.guard]\nzzzzzzzzzz = 1\n[connection.upstream]\nkind = \"opsera\"\n\
        zzzzzzzzzz = 1\n"
        .replace("opsera", kind);
        let mut tables = 0;
        for problem in problems(&text) {
            let Some(known) = problem.remedy.strip_prefix("known here: ") else {
                continue;
            };
            tables += 1;
            for key in known.split(", ").filter(|key| *key != "file") {
                let sub_table = format!("connection.{key}");
                let nested = format!("connection.upstream.{key}");
                assert!(
                    shown.iter().any(|word| *word == key
                        || *word == sub_table
                        || word.starts_with(&nested)),
                    "deploy/drawbridge.toml does not show {key} ({})",
                    problem.key
                );
            }
        }
        assert_eq!(tables, 9, "every table told its keys");
    }
}

#[test]
fn all_problems_come_at_once_with_line_key_and_remedy() {
    let found = problems(
        r#"listen = "localhost"
public_ulr = "https://scim.example.com"
[store]
url = "postgres://db"
[http]
body_limit = "lots"
[[connection]]
name = "Acme!"
sync_wait = "soon"
ack = "maybe"
[connection.limits]
operations = 0
[connection.upstream]
kind = "opsera"
base_urll = "https://app.opsera.io"
timeout = "never"
requests_per_second = 0
[[connection]]
name = "scim"
guard = { group_removals = 3, removals = { percent = 101 }, empty_form = 2 }
"#,
    );
    let said: Vec<(usize, String)> = found
        .iter()
        .map(|problem| {
            (
                problem.line.unwrap(),
                format!("{}: {}; {}", problem.key, problem.what, problem.remedy),
            )
        })
        .collect();
    for (line, words) in [
        (1, "listen: "),
        (2, "public_ulr: unknown key; did you mean `public_url`?"),
        (4, "store.url: PostgreSQL is not supported yet"),
        (6, "http.body_limit: "),
        (7, "connection[0]: the key `tokens` is missing"),
        (8, "connection[0].name: "),
        (9, "connection[0].sync_wait: \"soon\" is no span of time"),
        (
            10,
            "connection[0].ack: `maybe` is no value of this key; write one of: durable, confirmed",
        ),
        (12, "connection[0].limits.operations: "),
        (
            15,
            "connection[0].upstream.base_urll: unknown key; did you mean `base_url`?",
        ),
        (16, "connection[0].upstream.timeout: "),
        (17, "connection[0].upstream.requests_per_second"),
        (18, "connection[1]: the key `tokens` is missing"),
        (18, "connection[1].upstream: there is no application"),
        (19, "connection[1].name: "),
        (20, "connection[1].guard.group_removals: "),
        (
            20,
            "connection[1].guard.removals.percent: no share; write a whole number from 0 to 100",
        ),
        (
            20,
            "connection[1].guard.empty_form: unknown key; did you mean `empty_from`?",
        ),
    ] {
        assert!(
            said.iter()
                .any(|(at, text)| *at == line && text.starts_with(words)),
            "line {line}: {words}\nin {said:#?}"
        );
    }
    assert!(
        found.iter().all(|problem| !problem.remedy.is_empty()),
        "{found:#?}"
    );
}

#[test]
fn one_fault_hides_no_other() {
    let said = |text: &str| -> Vec<String> {
        let found = problems(text);
        found.iter().map(ToString::to_string).collect()
    };
    let both = said(
        r#"listen = "localhost"
[http]
workers = 0
[[connection]]
tokens = { fil = "x" }
[connection.limits]
members = -1
[connection.upstream]
kind = "opsera"
burst = "x"
token = { file = "a", env = "B" }
members_by = "name"
default_role = "Chef"
"#,
    );
    for words in [
        "toml:1: listen: ",
        "toml:3: http.workers: integer `0` does not fit here; write a whole number above 0",
        "toml:4: connection[0]: the key `name` is missing",
        "toml:4: connection[0]: `tokens` names no file",
        "toml:5: connection[0].tokens.fil: unknown key; did you mean `file`?",
        "toml:7: connection[0].limits.members: ",
        "connection[0].upstream.base_url: the key `base_url` is missing; add ",
        "toml:10: connection[0].upstream.burst: string \"x\" does not fit here; write a whole number",
        "toml:11: connection[0].upstream.token: give either file or env, not both",
        "toml:12: connection[0].upstream.members_by: ",
        "toml:13: connection[0].upstream.default_role ",
    ] {
        let words = words.replace("default_role ", "default_role: ");
        assert!(
            both.iter().any(|text| text.contains(&words)),
            "{words}\nin {both:#?}"
        );
    }
    let about_token = both.iter().filter(|text| text.contains("upstream.token"));
    assert_eq!(about_token.count(), 1, "{both:#?}");

    let single = said("store = \"x\"\n[connection]\nname = \"acme\"\n");
    assert!(
        single
            .iter()
            .any(|text| text.contains("write [[connection]]")),
        "{single:#?}"
    );
    assert!(
        single
            .iter()
            .any(|text| text.contains("store: string \"x\" does not fit here; write a table")),
        "{single:#?}"
    );
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let text = EXAMPLE.replace("{ file = \"secrets/opsera\" }", "\"a-very-secret-token\"");
    let found = read_text(&text).unwrap_err().to_string();
    assert!(
        found.contains("a secret does not belong in this file"),
        "{found}"
    );
    assert!(!found.contains("a-very-secret-token"), "{found}");
}

#[test]
fn broken_toml_and_missing_files_are_told_with_their_place() {
    let found = problems("listen = 127.0.0.1:8080\nname = \n");
    assert_eq!(found[0].line, Some(1));
    let missing = read(Path::new("/nonexistent/drawbridge.toml")).unwrap_err();
    assert!(missing.to_string().contains("--config"), "{missing}");
    let none = problems("listen = \"127.0.0.1:8080\"\n");
    assert!(none[0].what.contains("no connection"));
}

#[test]
fn secrets_that_are_missing_are_problems_but_not_for_making_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drawbridge.toml");
    fs::write(&path, EXAMPLE).unwrap();
    let found = read(&path).unwrap_err();
    assert!(found.to_string().contains("secrets/opsera"), "{found}");
    let files = token_files(&path).unwrap();
    assert_eq!(files["acme"], folder.path().join("secrets/acme.tokens"));
}

#[test]
fn a_secret_that_everybody_can_read_is_refused() {
    let folder = folder_with_secrets();
    let path = folder.path().join("drawbridge.toml");
    fs::write(&path, EXAMPLE).unwrap();
    assert!(read(&path).is_ok());
    let secret = folder.path().join("secrets/opsera");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let found = read(&path).unwrap_err();
    assert!(found.to_string().contains("chmod 600"), "{found}");
}

#[test]
fn choices_reach_the_policy() {
    let text = EXAMPLE
        .replace("# ack = \"durable\"", "ack = \"confirmed\"")
        .replace("# strict = false", "strict = true")
        .replace(
            "# unknown_members = \"refuse\"",
            "unknown_members = \"skip\"",
        )
        .replace("# reactivate = \"refuse\"", "reactivate = \"recreate\"")
        .replace(
            "# users_without_email = \"refuse\"",
            "users_without_email = \"stage\"",
        )
        .replace("# import = \"6h\"", "import = \"never\"");
    let text = text.replace(
        "# sensitive_filters = []",
        "sensitive_filters = [\"emails\", \"name.familyName\"]",
    );
    let policy = read_text(&text).unwrap().connections.remove(0).policy;
    assert!(policy.confirmed && policy.skip_unknown_members && policy.recreate);
    assert!(policy.limits.strict);
    assert_eq!(policy.sensitive_filters[..], ["emails", "name.familyName"]);
    assert!(policy.stage_users && !policy.import_at_start && policy.import_every.is_none());
}

#[test]
fn one_name_is_not_given_twice() {
    let second = EXAMPLE.split_once("[[connection]]").unwrap().1;
    let found = problems(&format!("{EXAMPLE}\n[[connection]]\n{second}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].key, "connection[1].name");
}

#[test]
fn one_file_of_tokens_does_not_open_two_connections() {
    let second = EXAMPLE.split_once("[[connection]]").unwrap().1;
    let second = second.replace("name = \"acme\"", "name = \"other\"");
    let second = second.replace("secrets/acme.tokens", "./secrets/../secrets/acme.tokens");
    let folder = folder_with_secrets();
    fs::write(folder.path().join("secrets/acme.tokens"), "").unwrap();
    let path = folder.path().join("drawbridge.toml");
    fs::write(&path, format!("{EXAMPLE}\n[[connection]]\n{second}")).unwrap();
    let found = read(&path).unwrap_err();
    let keys: Vec<_> = found.list().iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["connection[1].tokens"]);
}

#[test]
fn each_operator_has_a_name_and_a_token_that_are_nobody_else_s() {
    let anna = "anna = { file = \"secrets/anna\" }";
    let only = |lines: &str| {
        let operator = format!("[operator]\n{lines}\n[store]");
        EXAMPLE.replacen("[store]", &operator, 1)
    };
    read_text(&only(&format!("tokens = {{ {anna} }}"))).unwrap();
    for (lines, key) in [
        ("tokens = {}".to_owned(), "operator.tokens"),
        ("token = {}".to_owned(), "operator.token"),
        (
            anna.replace("anna =", "tokens.bridge ="),
            "operator.tokens.bridge",
        ),
        (
            anna.replace("anna =", "tokens.Operator ="),
            "operator.tokens.Operator",
        ),
        (
            format!("tokens = {{ {anna}, bob = {{ file = \"./secrets/anna\" }} }}"),
            "operator.tokens.bob",
        ),
        (
            format!("token = {{ file = \"secrets/anna\" }}\ntokens = {{ {anna} }}"),
            "operator.tokens.anna",
        ),
    ] {
        let found = problems(&only(&lines));
        let keys: Vec<_> = found.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, [key], "{found:#?}");
    }
}

const DECLARED: &str = include_str!("../../deploy/rest.toml");

#[test]
fn the_example_of_a_declared_application_is_in_order() {
    let config = read_text(DECLARED).unwrap();
    let [Connection { upstream, .. }] = &config.connections[..] else {
        panic!("one connection");
    };
    let Upstream::Rest(settings) = upstream else {
        panic!("{upstream:?}");
    };
    assert_eq!(settings.name, "Acme Portal");
}

#[test]
fn the_example_of_a_declared_application_leaves_no_key_out() {
    let odd = "zzzzzzzzzz = 1";
    let operation = format!("list_users = {{ {odd}, paging = {{ style = \"page\", {odd} }} }}");
    let text = format!(
        "[[connection]]\n[connection.upstream]\nkind = \"rest\"\n{odd}\n\
         user = {{ {odd} }}\nmember = {{ only = {{ at = \"\", {odd} }}, {odd} }}\nerrors = [{{ means = \"done\", {odd} }}]\n\
         [connection.upstream.group]\n{odd}\n\
         [[connection.upstream.group.read_only]]\nat = \"\"\nnote = \"x\"\n{odd}\n\
         [connection.upstream.operations]\n{operation}\n"
    );
    let mut tables = 0;
    for problem in problems(&text) {
        let Some(known) = problem.remedy.strip_prefix("known here: ") else {
            continue;
        };
        tables += 1;
        for key in known.split(", ") {
            let shown = [format!("{key} = "), format!("upstream.{key}")];
            assert!(
                shown.iter().any(|words| DECLARED.contains(words)),
                "deploy/rest.toml does not show {key} ({})",
                problem.key
            );
        }
    }
    assert_eq!(tables, 9, "every table told its keys");
}

#[test]
fn a_declared_application_is_told_all_its_faults_with_line_and_key() {
    let found = problems(
        r#"[[connection]]
name = "acme"
tokens = { file = "secrets/acme.tokens" }
[connection.upstream]
kind = "rest"
name = "Acme"
base_url = "https://api.example.com"
token = { file = "secrets/rest" }
[connection.upstream.user]
known_by = "e-mail"
account = "mail"
[connection.upstream.group]
name = "/name"
[connection.upstream.operations.list_users]
path = "/users"
paging = { style = "cursor", next = "/next" }
[connection.upstream.operations.list_groups]
path = "/groups"
[connection.upstream.operations.add_members]
path = "/groups/{group.id}/members/{member.mail}"
batch = 0
[connection.upstream.operations.delete_group]
path = "/groups/{group.name}"
method = "GET"
[[connection.upstream.errors]]
means = "done"
"#,
    );
    let said: Vec<String> = found.iter().map(ToString::to_string).collect();
    for words in [
        "toml:10: connection[0].upstream.user.known_by: `e-mail` is no value of this key; write one of: email, name, id",
        "toml:11: connection[0].upstream.user.account: \"mail\" is no JSON pointer; begin with",
        "toml:16: connection[0].upstream.operations.list_users.paging: without query",
        "toml:20: connection[0].upstream.operations.add_members.path: there is nothing to fill in for {member.mail}; known are",
        "toml:21: connection[0].upstream.operations.add_members.batch: ",
        "connection[0].upstream.operations.remove_members: missing, so what add_members gives",
        "connection[0].upstream.operations.list_members: missing",
        "connection[0].upstream.member: says nothing",
        "toml:24: connection[0].upstream.operations.delete_group.method: a GET changes nothing; write POST",
        "connection[0].upstream.errors[0]: fits every answer; add status",
    ] {
        assert!(
            said.iter().any(|it| it.contains(words)),
            "{words}\nin {said:#?}"
        );
    }
    assert!(found.iter().all(|it| !it.remedy.is_empty()), "{found:#?}");
}

#[test]
fn a_pointer_that_is_none_is_told_once_and_not_wherever_it_is_wanted() {
    let text = DECLARED.replacen("id = \"/id\"", "id = \"id\"", 1);
    assert_ne!(text, DECLARED);
    let said: Vec<String> = problems(&text).iter().map(ToString::to_string).collect();
    let about = |words: &str| said.iter().filter(|it| it.contains(words)).count();
    assert_eq!(about("\"id\" is no JSON pointer"), 1, "{said:#?}");
    assert_eq!(about("add user.id"), 0, "{said:#?}");
}

#[test]
fn a_wrong_value_of_a_key_that_must_be_there_is_told_once() {
    let example = include_str!("../../deploy/rest.toml");
    for (right, wrong, key, line) in [
        (
            "means = \"done\"\n",
            "means = \"ok\"\n",
            "errors[0].means",
            "means = \"ok\"",
        ),
        (
            "{ style = \"cursor\"",
            "{ style = \"links\"",
            "operations.list_users.paging.style",
            "style = \"links\"",
        ),
    ] {
        assert_eq!(example.matches(right).count(), 1, "{right}");
        let text = example.replace(right, wrong);
        let told = problems(&text);
        let [one] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert_eq!(one.key, format!("connection[0].upstream.{key}"));
        assert!(one.what.contains("is no value of this key"), "{one}");
        let at = text.lines().position(|it| it.contains(line)).unwrap();
        assert_eq!(one.line, Some(at + 1));
    }
}

#[test]
fn a_tenant_has_a_name_that_can_be_told_from_others() {
    let declared = DECLARED.replace("# tenant = ", "tenant = ");
    for (text, kind) in [
        (EXAMPLE.replace("# tenant = ", "tenant = "), "opsera"),
        (declared, "rest"),
    ] {
        let config = read_text(&text).unwrap();
        let named = match &config.connections[0].upstream {
            Upstream::Opsera(settings) => &settings.tenant,
            Upstream::Rest(settings) => &settings.tenant,
            other => panic!("{other:?}"),
        };
        assert_eq!(named.as_deref(), Some("acme-production"), "{kind}");
        for odd in ["", " ", "two words", "té", &"x".repeat(65)] {
            let odd = text.replace("\"acme-production\"", &format!("{odd:?}"));
            let found = problems(&odd);
            let [problem] = &found[..] else {
                panic!("{found:#?}");
            };
            assert_eq!(problem.key, "connection[0].upstream.tenant");
            assert!(problem.what.contains("no name of a tenant"), "{problem:?}");
        }
    }
}
