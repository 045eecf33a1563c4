//! The commands as an administrator meets them: what they print, how they
//! exit, and that they work beside a running server.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{group, user};

fn drawbridge(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drawbridge"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("DRAWBRIDGE_CONFIG")
        .env_remove("DRAWBRIDGE_LOG")
        .stdin(Stdio::null());
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output: Output = drawbridge(folder, arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(text).unwrap(),
    )
}

/// A process that ends with its handle, and the first line it printed that
/// holds some words.
struct Started {
    child: Child,
    line: String,
}

impl Started {
    fn new(folder: &Path, arguments: &[&str], words: &str) -> Self {
        let mut child = drawbridge(folder, arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(words))
            .expect("the process says where it is");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, line }
    }

    fn url(&self) -> &str {
        let at = self.line.find("http://").unwrap();
        &self.line[at..]
    }

    /// SIGTERM, then the exit status and how long it took.
    fn terminate(mut self) -> (Option<i32>, Duration) {
        let began = Instant::now();
        let id = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(told.success());
        (self.child.wait().unwrap().code(), began.elapsed())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const TOKEN: &str = "the-token-of-the-simulated-application";

fn configured(application: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::create_dir(path.join("secrets")).unwrap();
    fs::write(path.join("secrets/opsera"), TOKEN).unwrap();
    fs::set_permissions(
        path.join("secrets/opsera"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let text = format!(
        "listen = \"127.0.0.1:0\"\n[[connection]]\nname = \"acme\"\n\
         tokens = {{ file = \"secrets/acme.tokens\" }}\nimport = \"never\"\n\
         [connection.upstream]\nkind = \"opsera\"\nbase_url = \"{application}\"\n\
         token = {{ file = \"secrets/opsera\" }}\n"
    );
    fs::write(path.join("drawbridge.toml"), text).unwrap();
    folder
}

fn simulator(folder: &Path) -> Started {
    let arguments = [
        "simulate",
        "opsera",
        "--listen",
        "127.0.0.1:0",
        "--token",
        TOKEN,
    ];
    Started::new(folder, &arguments, "Application (simulated): ")
}

async fn status(url: &str, token: &str) -> u16 {
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap();
    let request = client
        .get(format!("{url}/Users?count=1"))
        .bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[test]
fn the_demo_ends_well_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().to_str().unwrap();
    for application in ["opsera", "snyk", "hydden"] {
        let output = drawbridge(
            folder.path(),
            &[
                "demo",
                "--once",
                "--listen",
                "127.0.0.1:0",
                "--upstream",
                application,
            ],
        )
        .env("TMPDIR", temporary)
        .output()
        .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{application}: {text}");
        assert!(
            text.contains("all went as expected"),
            "{application}: {text}"
        );
        assert!(!text.contains('\u{1b}'), "no colours where nobody watches");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

/// A test suite deletes freely; whoever wants to see the guard rails asks for them.
#[tokio::test]
async fn an_empty_demo_holds_mass_removals_back_only_when_that_is_asked_for() {
    let token = "the-token-of-a-demo-0123456789";
    for (more, expected) in [(&[][..], 204), (&["--guard"], 403)] {
        let folder = tempfile::tempdir().unwrap();
        let listen = [
            "--listen",
            "127.0.0.1:0",
            "--upstream-listen",
            "127.0.0.1:0",
        ];
        let own = ["--token", token];
        let arguments = [&["demo", "--empty"], &listen[..], &own, more].concat();
        let demo = Started::new(folder.path(), &arguments, "SCIM base URL: ");
        let client = reqwest::Client::builder().no_proxy();
        let client = client.tls_certs_only([]).build().unwrap();
        let send = async |method: Method, path: &str, body: Value| {
            let request = client.request(method, format!("{}{path}", demo.url()));
            let answer = request.bearer_auth(token).json(&body).send().await.unwrap();
            let status = answer.status().as_u16();
            let body = answer.json::<Value>().await.unwrap_or_default();
            (status, body)
        };
        let mut ids = Vec::new();
        for n in 0..12 {
            let made = send(Method::POST, "/Users", user(&format!("x{n}"))).await;
            assert_eq!(made.0, 201, "{made:?}");
            ids.push(made.1["id"].as_str().unwrap().to_owned());
        }
        let (status, made) = send(Method::POST, "/Groups", group("all", &ids)).await;
        assert_eq!(status, 201, "{made}");
        let path = format!("/Groups/{}", made["id"].as_str().unwrap());
        let empties = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "remove", "path": "members" }],
        });
        let (status, said) = send(Method::PATCH, &path, empties).await;
        assert_eq!(status, expected, "{more:?}: {said}");
    }
}

#[test]
fn a_demo_that_cannot_listen_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    for option in ["--listen", "--upstream-listen"] {
        let mut arguments = vec!["demo", "--once", option, &address];
        if option == "--upstream-listen" {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        let (status, text) = run(folder.path(), &arguments);
        assert_eq!(status, 1, "{text}");
        assert!(text.contains(option) && text.contains(&address), "{text}");
    }
    let (status, text) = run(folder.path(), &["demo", "--once", "--token", "short"]);
    assert_eq!(status, 1);
    assert!(text.contains("easily guessed"), "{text}");
}

#[test]
fn check_tells_everything_at_once_with_its_exit_status() {
    let folder = configured("http://127.0.0.1:9");
    let path = folder.path();
    let (status, text) = run(path, &["check"]);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("drawbridge token create acme"), "{text}");
    assert!(text.contains("check base_url"), "{text}");
    assert!(!path.join("drawbridge.db").exists(), "check makes nothing");

    fs::write(
        path.join("drawbridge.toml"),
        "listn = 1\n[[connection]]\nnam = \"x\"\n",
    )
    .unwrap();
    let (status, text) = run(path, &["check"]);
    assert_eq!(status, 2, "{text}");
    assert!(
        text.contains("did you mean `listen`?") && text.contains("did you mean `name`?"),
        "{text}"
    );
}

#[test]
fn check_is_content_with_what_is_in_order() {
    let anywhere = tempfile::tempdir().unwrap();
    let application = simulator(anywhere.path());
    let folder = configured(application.url());
    let (status, _) = run(folder.path(), &["token", "create", "acme"]);
    assert_eq!(status, 0);
    let (status, text) = run(folder.path(), &["check"]);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("All is in order."), "{text}");
    for line in [
        "what Opsera can do",
        "  yes      add members (1000 a call, by id or e-mail, documented): ",
        "  no       rename a group (documented): the Opsera name of a group is fixed",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let file = folder.path().join("drawbridge.toml");
    let right = fs::read_to_string(&file).unwrap();
    let url = application.url();
    fs::write(&file, right.replace(url, &format!("{url}/elsewhere"))).unwrap();
    let (status, text) = run(folder.path(), &["check"]);
    assert_eq!(status, 1, "{text}");
    assert!(
        text.contains("check base_url") && !text.contains("the token"),
        "an address that is not Opsera's proves nothing about the token: {text}"
    );
    fs::write(&file, right).unwrap();
    fs::write(folder.path().join("secrets/opsera"), "another-token").unwrap();
    let (status, text) = run(folder.path(), &["check"]);
    assert_eq!(status, 1, "{text}");
}

#[tokio::test]
async fn tokens_are_made_and_revoked_beside_a_running_server() {
    let folder = configured("http://127.0.0.1:9");
    let path = folder.path();
    let (refused, text) = run(path, &["serve"]);
    assert_eq!(refused, 1, "without a token file it does not start: {text}");
    let text_of = |path: &Path| fs::read_to_string(path).unwrap();
    let everything = text_of(&path.join("drawbridge.toml")).replace(
        "listen = \"127.0.0.1:0\"",
        "listen = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite://nowhere/x.db\"",
    );
    fs::write(path.join("wrong.toml"), everything).unwrap();
    let (_, text) = run(path, &["serve", "--config", "wrong.toml"]);
    assert!(
        text.contains("token create") && text.contains("its folder must exist"),
        "all that keeps it from starting is said at once: {text}"
    );
    let make = || {
        let output = drawbridge(path, &["token", "create", "acme", "--label", "okta"]).output();
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    let old = make();
    let server = Started::new(path, &["serve"], "SCIM base URL: ");
    let url = server.url().to_owned();
    assert_eq!(status(&url, &old).await, 200);
    assert_eq!(status(&url, "dbr_wrong").await, 401);

    let new = make();
    let (_, listed) = run(path, &["token", "list", "acme"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(!listed.contains(&old) && !listed.contains(&new));
    let id = listed.split_whitespace().next().unwrap();
    assert_eq!(run(path, &["token", "revoke", "acme", id]).0, 0);
    let end = Instant::now() + Duration::from_secs(5);
    while status(&url, &old).await != 401 {
        assert!(
            Instant::now() < end,
            "a revoked token still works after 5 s"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&url, &new).await, 200);

    let (busy, text) = run(path, &["import"]);
    assert_eq!(busy, 1);
    assert!(text.contains("is in use"), "{text}");
    let (code, took) = server.terminate();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn import_reads_the_company() {
    let anywhere = tempfile::tempdir().unwrap();
    let application = simulator(anywhere.path());
    let folder = configured(application.url());
    run(folder.path(), &["token", "create", "acme"]);
    let (status, text) = run(folder.path(), &["import"]);
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("(12 new)"), "{text}");
    let (_, again) = run(folder.path(), &["import"]);
    assert!(again.contains("(0 new)"), "{again}");
}

#[test]
fn every_command_explains_itself() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "serve", "demo", "check", "token", "simulate", "import", "held", "plan", "recovery",
    ] {
        let (status, text) = run(folder.path(), &[command, "--help"]);
        assert_eq!(status, 0);
        assert!(text.lines().count() > 8, "{command}: {text}");
    }
    let mut reader = drawbridge(folder.path(), &["--help"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = String::new();
    reader
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert!(reader.wait().unwrap().success());
    assert!(out.contains("drawbridge demo"), "{out}");
}

#[test]
fn every_command_refuses_the_name_of_no_connection_and_tells_those_that_there_are() {
    let folder = configured("http://127.0.0.1:9");
    let path = folder.path();
    let file = path.join("drawbridge.toml");
    let one = fs::read_to_string(&file).unwrap();
    let (listen, connection) = one.split_once('\n').unwrap();
    let another = connection.replace("acme", "globex");
    fs::write(&file, format!("{listen}\n{connection}{another}")).unwrap();
    for name in ["acme", "globex"] {
        assert_eq!(run(path, &["token", "create", name]).0, 0);
    }
    let server = Started::new(path, &["serve"], "SCIM base URL: ");
    let running: [&[&str]; 13] = [
        &["check", "--connection"],
        &["import", "--connection"],
        &["pause", "--connection"],
        &["resume", "--connection"],
        &["reconcile", "--connection"],
        &["reconcile", "--apply", "--connection"],
        &["plan", "--connection"],
        &["plan", "--request", "drawbridge.toml", "--connection"],
        &["recovery", "end", "--connection"],
        &["audit", "export", "--connection"],
        &["audit", "export", "--after", "1000000", "--connection"],
        &["token", "create"],
        &["token", "list"],
    ];
    for command in running {
        let (status, said) = run(path, &[command, &["nope"]].concat());
        assert_eq!(status, 2, "{command:?}: {said}");
        let told = "there is no connection \"nope\" in drawbridge.toml; there are: acme, globex";
        assert!(said.contains(told), "{command:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{command:?}: {said}");
    }
    // Whoever is configured and has done nothing has no records.
    assert_eq!(run(path, &["audit", "export", "--connection", "acme"]).0, 0);
    assert_eq!(run(path, &["pause", "--connection", "globex"]).0, 0);
    let records = || run(path, &["audit", "export", "--connection", "globex"]);
    while !records().1.contains("\"pause\"") {}
    assert_eq!(server.terminate().0, Some(0));

    // What it did is told when it is gone, and nothing else of it is known.
    fs::write(&file, one).unwrap();
    let (status, said) = records();
    assert!(status == 0 && said.contains("\"pause\""), "{said}");
    let (status, said) = run(path, &["audit", "export", "--connection", "nope"]);
    assert!(
        status == 2 && said.contains("there are: acme, globex"),
        "{said}"
    );
    let (status, said) = run(path, &["token", "list", "globex"]);
    assert!(status == 2 && said.contains("there are: acme\n"), "{said}");
}
