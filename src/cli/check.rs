//! `drawbridge check`: everything that could be wrong, each with its remedy.

use std::{fs, io::Read, path::Path, time::Duration};

use clap::Args;

use super::{
    ConfigFile, Failed,
    screen::{Screen, Tone, day},
    token::now,
};
use crate::{
    app,
    bridge::{are_named_apart, together, token},
    config::{self, Config, Connection},
    plan::capability::Capabilities,
    upstream::{Finding, PutOff, STOPPED, Tenant, Upstream, as_guest},
};
use beside::Beside;

mod beside;
mod reading;

/// A token that ends sooner than this is worth a word.
const SOON_DAYS: i64 = 30;

/// Check the configuration and, live, every application behind it.
///
/// Reports all problems at once, each with what to do: the configuration file,
/// the tokens, the store, then the application's address, the credential and
/// its rights, and what an import reads, as far as that is done in ten seconds. Reads
/// only; changes nothing here or there. The exit status is 0
/// when all is in order, 1 when something has to be done, 2 when the
/// configuration itself is wrong.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Only this connection.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Check {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let path = &self.config.config;
        let config = config::read(path).map_err(|problems| {
            let count = problems.list().len();
            let text = format!("{count} to mend in the configuration\n{problems}");
            Failed::usage(text)
        })?;
        let chosen = self.config.chosen(&config, self.connection.as_deref())?;
        let mut report = Report {
            screen: Screen::new(),
            wrong: 0,
        };
        report.heading(&path.display().to_string());
        report.say(&good("the configuration is in order"));
        report.say(&store(&config));
        if let Err(error) = app::operator_tokens(&config.operator) {
            report.say(&bad(
                &error.to_string(),
                "correct operator.token and operator.tokens, and the files that they name",
            ));
        }
        let runtime = app::command_runtime()?;
        let beside = runtime.block_on(Beside::find(&self.config, &config.store));
        for connection in chosen {
            report.heading(&format!("connection {}", connection.name));
            if connection.policy.limits.strict {
                report.say(&good("strict: the letter of the RFCs is demanded, which Okta and Microsoft Entra ID do not keep"));
            }
            for finding in tokens(connection) {
                report.say(&finding);
            }
            match app::open_upstream(connection) {
                Err(error) => report.say(&bad(&error.to_string(), "correct [connection.upstream]")),
                Ok(upstream) => {
                    if let Err(error) = app::guards_something(connection, &*upstream) {
                        report.say(&bad(&error.to_string(), "correct or leave out the name"));
                    }
                    for finding in at_same_tenant(&config, connection) {
                        report.say(&finding);
                    }
                    for finding in leavers(connection, &*upstream) {
                        report.say(&finding);
                    }
                    let found = runtime.block_on(live(&*upstream, &beside));
                    found.iter().for_each(|finding| report.say(finding));
                    let told = beside.findings(&connection.name);
                    told.iter().for_each(|finding| report.say(finding));
                    report.table(upstream.capabilities());
                }
            }
        }
        report.end()
    }
}

/// What the application itself tells, within what it allows all that is sent with the
/// credential.
async fn live(upstream: &dyn Upstream, beside: &Beside) -> Vec<Finding> {
    let host = match beside {
        Beside::Server(host, _) => Some(host.clone()),
        Beside::Nobody(ledger) => {
            upstream.remember(ledger);
            None
        }
        Beside::Busy => {
            return vec![bad(
                "another command, or a server that is starting or does not answer, sends calls now \
                 and counts them for itself, so the application is not asked",
                "check again when that command has ended, or the server runs",
            )];
        }
        Beside::Unknown => None,
    };
    if let Some(put_off) = silence(upstream) {
        return vec![not_now(upstream, &put_off)];
    }
    let asking = async {
        let mut found = upstream.check().await;
        if found.iter().all(|finding| finding.ok) {
            found.extend(reading::findings(upstream).await);
        }
        found
    };
    let (found, put_off) = as_guest(host, asking).await;
    if found.iter().all(|finding| finding.ok) {
        return found;
    }
    // That nobody answers there is told by the call that found out.
    let put_off = put_off.filter(|it| it.reason != STOPPED);
    match put_off.or_else(|| silence(upstream)) {
        Some(put_off) => vec![not_now(upstream, &put_off)],
        None => found,
    }
}

fn silence(upstream: &dyn Upstream) -> Option<PutOff> {
    let after = upstream.condition().silent_for?;
    let reason = "the application asked for a pause".to_owned();
    (after > Duration::from_secs(1)).then_some(PutOff { after, reason })
}

fn not_now(upstream: &dyn Upstream, put_off: &PutOff) -> Finding {
    let application = &upstream.capabilities().application;
    let seconds = put_off.after.as_millis().div_ceil(1_000);
    bad(
        &format!(
            "{application} is asked nothing for {seconds} s more: {}",
            put_off.reason
        ),
        "check again after that; what a server sends meanwhile waits as well",
    )
}

/// What makes ends of access slower, or finds them later, where accounts stay.
fn leavers(connection: &Connection, upstream: &dyn Upstream) -> Vec<Finding> {
    let can = upstream.capabilities();
    if !can.withdraws() {
        return Vec::new();
    }
    let application = &can.application;
    let mut findings = Vec::new();
    let mut say = |what: String, remedy: &str| {
        findings.push(Finding {
            remedy: Some(remedy.to_owned()),
            ..good(&what)
        });
    };
    if !upstream.lists_users() {
        say(
            format!(
                "accounts of {application} cannot be ended or listed: what somebody has there is \
                 read when they leave, or are taken out of a group"
            ),
            "declare list_users, so that an import knows it before",
        );
    }
    if !connection.policy.import_at_start {
        say(
            format!(
                "accounts of {application} cannot be ended, and nothing is imported: a membership \
                 that was given there by hand outlives its User"
            ),
            "let it be imported now and then (import)",
        );
    }
    findings
}

/// The other connections at the same tenant, as far as is known.
fn at_same_tenant(config: &Config, of: &Connection) -> Vec<Finding> {
    let connections = &config.connections;
    let tenants = connections.iter().map(|it| {
        let opened = app::open_upstream(it);
        opened.map(|it| it.tenants()).unwrap_or_default()
    });
    let tenants: Vec<Vec<Tenant>> = tenants.collect();
    let Some(place) = connections.iter().position(|it| it.name == of.name) else {
        return Vec::new();
    };
    let mut findings = at_other_addresses(config, place, &tenants);
    for at in together(place, &tenants)
        .into_iter()
        .filter(|at| *at != place)
    {
        let (Some(other), Some(its), Some(own)) =
            (connections.get(at), tenants.get(at), tenants.get(place))
        else {
            continue;
        };
        let name = &other.name;
        findings.push(good(&format!(
            "connection {name} leads to the same application: each group and account there is \
             managed by the one that changed it first"
        )));
        if are_named_apart(own, its) {
            findings.push(bad(
                &format!(
                    "connection {name} has the same credential, and another name for its tenant: \
                     one of the two names is wrong, and both are taken for one tenant"
                ),
                "say the same tenant in both, or give each the credential of its own",
            ));
        }
    }
    findings
}

/// The same credential elsewhere, which nobody may have meant.
fn at_other_addresses(config: &Config, place: usize, tenants: &[Vec<Tenant>]) -> Vec<Finding> {
    let budget = |it: &Connection| app::open_upstream(it).ok().and_then(|it| it.budget());
    let own = config.connections.get(place).and_then(budget);
    let together = together(place, tenants);
    let others = config.connections.iter().enumerate();
    let others =
        others.filter(|(at, it)| !together.contains(at) && own.is_some() && budget(it) == own);
    let told = others.map(|(_, other)| {
        good(&format!(
            "connection {} has the same credential at another address: both keep to one pace, and \
             are taken for two tenants; if it is one, write the same address in both",
            other.name
        ))
    });
    told.collect()
}

struct Report {
    screen: Screen,
    wrong: usize,
}

impl Report {
    fn heading(&self, text: &str) {
        self.screen.line(Tone::Heading, text);
    }

    fn say(&mut self, finding: &Finding) {
        if finding.ok {
            self.screen
                .paragraph(Tone::Good, "  ok       ", &finding.what);
        } else {
            self.wrong += 1;
            self.screen
                .paragraph(Tone::Bad, "  PROBLEM  ", &finding.what);
        }
        if let Some(remedy) = &finding.remedy {
            self.screen.paragraph(Tone::Plain, "           -> ", remedy);
        }
    }

    /// What the application can do, and why not.
    fn table(&self, can: &Capabilities) {
        let heading = format!("what {} can do", can.application);
        self.screen.line(Tone::Heading, &heading);
        for row in &can.rows {
            let [act, able, batch, by, certainty, note] = row.columns();
            let margin = format!("  {able:<9}");
            let how = if row.able {
                format!("{batch} a call, by {by}, {certainty}")
            } else {
                certainty
            };
            let dash = if note.is_empty() { "" } else { ": " };
            let line = format!("{act} ({how}){dash}{note}");
            self.screen.paragraph(Tone::Plain, &margin, &line);
        }
    }

    fn end(self) -> Result<(), Failed> {
        match self.wrong {
            0 => {
                self.screen.line(Tone::Good, "All is in order.");
                Ok(())
            }
            1 => Err(Failed {
                text: "1 problem".to_owned(),
                status: 1,
            }),
            wrong => Err(Failed {
                text: format!("{wrong} problems"),
                status: 1,
            }),
        }
    }
}

fn tokens(connection: &Connection) -> Vec<Finding> {
    let file = &connection.tokens;
    let create = format!("run `drawbridge token create {}`", connection.name);
    match token::Tokens::open(file) {
        Ok(_) => {}
        Err(token::TokenError::Missing(path)) => {
            return vec![bad(
                &format!("there is no token file {}", path.display()),
                &create,
            )];
        }
        // The text holds the remedy.
        Err(error) => return vec![bad(&error.to_string(), "then check again")],
    }
    let now = now();
    let live: Vec<_> = token::list(file)
        .unwrap_or_default()
        .into_iter()
        .filter(|token| token.live(now))
        .collect();
    match live.iter().map(|token| token.expires).max() {
        None => vec![bad(
            "no token is live, so no identity provider can come in",
            &create,
        )],
        Some(last) if last - now < SOON_DAYS * 86_400_000 => vec![bad(
            &format!("the last live token expires on {}", day(last)),
            &format!("{create}, give it to the identity provider, then revoke the old one"),
        )],
        Some(last) => vec![good(&format!(
            "{} live, the last until {}",
            count(live.len(), "token"),
            day(last)
        ))],
    }
}

/// Looks at the store's file without opening it as a database, which might
/// bring its layout up to date.
fn store(config: &Config) -> Finding {
    let path = &config.store;
    let shown = path.display();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return bad(
            &format!("the store's folder {} does not exist", folder.display()),
            "create it, owned by the user that runs drawbridge, mode 0700",
        );
    }
    let mut head = [0; 16];
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => good(&format!(
            "the store {shown} will be created at the first start"
        )),
        Err(error) => bad(
            &format!("the store {shown} cannot be opened: {error}"),
            "give the user that runs drawbridge the right to read and write it",
        ),
        Ok(mut file) => match file.read(&mut head) {
            Ok(0) => good(&format!("the store {shown} is there and still empty")),
            Ok(_) if head == *b"SQLite format 3\0" => good(&format!("the store {shown} is there")),
            _ => bad(
                &format!("the store {shown} is not a SQLite file"),
                "name another file in store.url, or restore this one from a backup",
            ),
        },
    }
}

fn good(what: &str) -> Finding {
    Finding {
        ok: true,
        what: what.to_owned(),
        remedy: None,
    }
}

fn bad(what: &str, remedy: &str) -> Finding {
    Finding {
        ok: false,
        what: what.to_owned(),
        remedy: Some(remedy.to_owned()),
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}
