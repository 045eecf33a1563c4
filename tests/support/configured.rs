//! Which application is behind a bridge, and the configuration that says so.

/// Which application is behind it.
#[derive(Clone, Copy, PartialEq)]
pub enum Application {
    Opsera,
    Hydden,
    /// Opsera as a declaration, its members told by e-mail address.
    Declared,
    /// The same with its members told by id, one in a call.
    DeclaredById,
    /// The same without a call to deactivate a user.
    DeclaredForEver,
    /// The same where Users are linked to the accounts that are there.
    DeclaredLinked,
    /// The same where accounts are on no list, and only found.
    DeclaredFound,
    /// The same where groups are known by ids, and are called what their type says.
    DeclaredTitled,
    /// Hydden.Control as a declaration.
    DeclaredInventory,
    Snyk,
}

impl Application {
    /// The kind of the simulator.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Opsera
            | Self::Declared
            | Self::DeclaredById
            | Self::DeclaredForEver
            | Self::DeclaredLinked
            | Self::DeclaredFound
            | Self::DeclaredTitled => "opsera",
            Self::Hydden | Self::DeclaredInventory => "hydden",
            Self::Snyk => "snyk",
        }
    }

    /// A configuration written for Opsera at this address, for this one; `own`
    /// are lines that only its kind knows.
    pub(super) fn adapt(self, configuration: &str, upstream: &str, own: &str) -> String {
        if let Some(declared) = self.declaration(upstream) {
            return configuration.replace(&application(upstream), &declared);
        }
        let kind = self.kind();
        let text = configuration.replace("\"opsera\"", &format!("{kind:?}"));
        let place = format!("kind = {kind:?}\n");
        let text = text.replace(&place, &format!("{place}{own}\n"));
        match self {
            Self::Snyk => text.replace(
                &format!("base_url = \"{upstream}\"\n"),
                &format!("base_url = \"{upstream}/rest\"\nrequests_per_minute = 1000000\n"),
            ),
            _ => text,
        }
    }

    /// `[connection.upstream]` where it is a declaration.
    fn declaration(self, upstream: &str) -> Option<String> {
        let opsera = include_str!("../data/opsera-as-rest.toml");
        let text = match self {
            Self::Opsera | Self::Hydden | Self::Snyk => return None,
            Self::Declared => opsera.to_owned(),
            Self::DeclaredById => opsera
                .replace("{member.account}", "{member.id}")
                .replace(
                    "/user/{user.account}\"\n\n[connection.upstream.operations.list_groups",
                    "/user/{user.id}\"\n\n[connection.upstream.operations.list_groups",
                )
                .replace("groupMemberEmailAddresses", "groupMemberUserIds")
                .replace("batch = 1000\n", "batch = 1\n"),
            Self::DeclaredForEver => for_ever(opsera),
            Self::DeclaredLinked => linked(opsera),
            Self::DeclaredFound => without(&linked(opsera), "operations.list_users"),
            Self::DeclaredTitled => titled(&linked(opsera)),
            Self::DeclaredInventory => include_str!("../data/hydden-as-rest.toml").to_owned(),
        };
        let line = |line: &str| match line.split(' ').next() {
            Some("base_url") => format!("base_url = {upstream:?}\n{NO_PACE}\n"),
            Some("token") => "token = { file = \"opsera.token\" }\n".to_owned(),
            _ => format!("{line}\n"),
        };
        Some(text.lines().map(line).collect())
    }
}

/// Without one of its tables.
fn without(declaration: &str, table: &str) -> String {
    let name = format!("[connection.upstream.{table}]");
    let (before, rest) = declaration.split_once(&name).expect(table);
    let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
    format!("{before}{after}")
}

fn for_ever(declaration: &str) -> String {
    let unsaid = without(declaration, "notes");
    without(&unsaid, "operations.deactivate_user")
}

fn linked(declaration: &str) -> String {
    let unmade = without(&for_ever(declaration), "operations.create_user");
    unmade
        .replace(
            "known_by = \"email\"\n",
            "known_by = \"email\"\nlink = true\n",
        )
        .replace("[\"create_user\", \"create_group\"]", "[\"create_group\"]")
}

/// Neither made nor deleted from here, and written whatever they are called.
fn titled(declaration: &str) -> String {
    let unmade = without(declaration, "operations.create_group");
    let kept = without(&unmade, "operations.delete_group");
    let (before, rest) = kept.split_once("read_only = [").expect("what is read only");
    let (_, after) = rest.split_once("\n]\n").expect("its end");
    format!("{before}{after}")
        .replace(
            "known_by = \"name\"\nname = \"/name\"",
            "known_by = \"id\"\nid = \"/name\"\nname = \"/groupType\"",
        )
        .replace("{group.name}", "{group.id}")
        .replace(
            "on = [\"create_group\"]\nstatus = 400\ntext = \"already exist\"\nmeans = \"exists\"",
            "on = [\"add_members\"]\ntext = \"is in it\"\nmeans = \"done\"",
        )
}

/// What most tests want, unless a test says otherwise.
const DEFAULTS: [&str; 6] = [
    "request_budget = 1000000",
    "reactivate = \"recreate\"",
    "users_without_email = \"stage\"",
    "import = \"never\"",
    "reconcile = \"never\"",
    "guard = { enabled = false }",
];

pub(super) fn configuration(upstream: &str, connection: &str) -> String {
    format!(
        r#"listen = "127.0.0.1:0"

[store]
url = "sqlite://bridge.db"
{}"#,
        one_connection("acme", upstream, connection)
    )
}

/// A second connection, to the same application.
pub(super) fn another(upstream: &str, connection: &str) -> String {
    one_connection("globex", upstream, connection)
}

fn one_connection(name: &str, upstream: &str, connection: &str) -> String {
    let said = |line: &&str| {
        line.split_once(' ')
            .is_none_or(|(key, _)| !connection.contains(key))
    };
    let defaults: String = DEFAULTS
        .iter()
        .filter(|line| said(line))
        .map(|line| format!("{line}\n"))
        .collect();
    format!(
        r#"
[[connection]]
name = "{name}"
tokens = {{ file = "{name}.tokens" }}
{defaults}{connection}
{}"#,
        application(upstream)
    )
}

/// No test waits for a pace that it is not about.
pub(super) const NO_PACE: &str = "requests_per_second = 100000\nburst = 1000";

fn application(upstream: &str) -> String {
    format!(
        r#"
[connection.upstream]
kind = "opsera"
base_url = "{upstream}"
token = {{ file = "opsera.token" }}
{NO_PACE}
"#
    )
}
