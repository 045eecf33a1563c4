//! `drawbridge held`, `plan` and `recovery`: what the guard rails keep for an
//! operator, and the operator's word about it. They ask the running server.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    ConfigFile, Failed,
    operator::Server,
    screen::{Screen, Tone},
};
use crate::app;

/// Requests that would have taken away too much at once, and wait for you.
///
/// They were refused, and nothing was changed. An approved request runs against
/// what is there by then, once, whatever the limits say, and takes away nobody who
/// was not shown; what is protected stays so. Nobody approves by waiting: after seven days a request is dropped.
#[derive(Debug, Args)]
pub(super) struct Held {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show what waits, the newest first.
    List {
        /// Also what was decided in the last 30 days.
        #[arg(long)]
        all: bool,
        /// As JSON, as the server tells it.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show one request whole, as JSON, with all it would have taken away.
    Show(One),
    /// Do what a request asks; look at `drawbridge plan ID` first.
    Approve(One),
    /// Drop a request.
    Reject(One),
}

#[derive(Debug, Args)]
struct One {
    /// The id from `drawbridge held list`.
    id: String,
    #[command(flatten)]
    config: ConfigFile,
}

/// Show what would happen now, as JSON, and do nothing.
///
/// Of a held request: what an approval would do. Of a connection or one of its
/// groups: the calls that would be made next. Of a SCIM request in a file, such
/// as {"method": "PATCH", "path": "/Groups/ID", "body": {..}}, with any path that
/// was recorded, and of any method and of /Bulk too: what it would be answered,
/// what it would take away, whether a guard rail would stop it, and what would be
/// sent; If-Match and If-None-Match count as "headers" beside them. Where a guard
/// rail or a new address has the application looked at first, that is done, and
/// told. Always by the same way as when it is done, so that is what happens if
/// nothing else comes in between and the application does what it is asked.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// A held request, by its id from `drawbridge held list`.
    #[arg(required_unless_present = "connection", conflicts_with_all = ["connection", "group", "request"])]
    id: Option<String>,
    /// A connection, by its name in the configuration.
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Only this group, by its id.
    #[arg(
        long,
        value_name = "ID",
        requires = "connection",
        conflicts_with = "request"
    )]
    group: Option<String>,
    /// A SCIM request in a file.
    #[arg(long, value_name = "FILE", requires = "connection")]
    request: Option<std::path::PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

/// The time in which nothing is removed from groups without you.
///
/// It begins when the database and the application may not belong together: a
/// new database in front of an application with members, one that is older than
/// it was, another one, or another application. Adding goes on, and so does
/// deactivating users; `drawbridge status` tells why it began.
#[derive(Debug, Args)]
pub(super) struct Recovery {
    #[command(subcommand)]
    act: RecoveryAct,
}

#[derive(Debug, Subcommand)]
enum RecoveryAct {
    /// Say that they belong together: what was withheld is done now, or after `resume`.
    End {
        #[arg(long, value_name = "NAME")]
        connection: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Held {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let screen = Screen::new();
        match &self.act {
            Act::List { all, json, config } => list(screen, *all, *json, config),
            Act::Show(one) => {
                let shown = one.get("")?;
                screen.line(Tone::Plain, &serde_json::to_string_pretty(&shown)?);
                Ok(())
            }
            Act::Approve(one) => {
                let done = one.post("/approve")?;
                let is = |key: &str| done[key] == true;
                let told = match (is("changed"), is("pending"), is("paused")) {
                    (_, true, true) => {
                        "approved; all writes are stopped, so it is sent after `drawbridge resume`"
                    }
                    (_, true, false) => "approved; the application has not confirmed all of it yet",
                    (false, ..) => "approved; there was nothing left to do",
                    _ => "approved and done",
                };
                screen.line(Tone::Good, told);
                let left_out = done["leftOut"].as_array().map_or(&[][..], Vec::as_slice);
                let left_out: Vec<_> = left_out.iter().filter_map(Value::as_str).collect();
                if !left_out.is_empty() {
                    let told = format!(
                        "left out, as they are no Users any more: {}",
                        left_out.join(", ")
                    );
                    screen.line(Tone::Bad, &told);
                }
                Ok(())
            }
            Act::Reject(one) => {
                one.post("/reject")?;
                screen.line(Tone::Good, "rejected");
                Ok(())
            }
        }
    }
}

impl One {
    fn path(&self, act: &str) -> Result<String, Failed> {
        path_of(&self.id, act)
    }

    fn get(&self, act: &str) -> Result<Value, Failed> {
        let (path, server) = (self.path(act)?, Server::find(&self.config)?);
        app::command_runtime()?.block_on(server.get(&path))
    }

    fn post(&self, act: &str) -> Result<Value, Failed> {
        let (path, server) = (self.path(act)?, Server::find(&self.config)?.patient());
        app::command_runtime()?.block_on(server.post(&path, None))
    }
}

fn path_of(id: &str, act: &str) -> Result<String, Failed> {
    let plain = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    if id.is_empty() || !id.bytes().all(plain) {
        return Err(Failed::usage(
            "that is no id of a held request; `drawbridge held list` shows them",
        ));
    }
    Ok(format!("/held/{id}{act}"))
}

/// A name or an id that can stand in an address as it is.
fn plain(text: &str) -> Result<&str, Failed> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(Failed::usage(format!("{text:?} is no name or id")));
    }
    Ok(text)
}

impl Plan {
    pub(super) fn run(&self) -> Result<(), Failed> {
        if let Some(name) = &self.connection {
            self.config.knows(name)?;
        }
        let plan = match (&self.id, &self.connection, &self.request) {
            (Some(id), ..) => {
                let path = path_of(id, "/plan")?;
                let server = Server::find(&self.config)?.patient();
                app::command_runtime()?.block_on(server.get(&path))?
            }
            (None, Some(name), None) => {
                let mut path = format!("/plan?connection={}", plain(name)?);
                if let Some(group) = &self.group {
                    path.push_str("&group=");
                    path.push_str(plain(group)?);
                }
                let server = Server::find(&self.config)?.patient();
                app::command_runtime()?.block_on(server.get(&path))?
            }
            (None, Some(name), Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    Failed::usage(format!("{} cannot be read: {error}", file.display()))
                })?;
                let path = format!("/plan?connection={}", plain(name)?);
                let server = Server::find(&self.config)?.patient();
                app::command_runtime()?.block_on(server.post(&path, Some(text)))?
            }
            (None, None, _) => return Err(Failed::usage("name a held request or a connection")),
        };
        Screen::new().line(Tone::Plain, &serde_json::to_string_pretty(&plan)?);
        Ok(())
    }
}

impl Recovery {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let RecoveryAct::End { connection, config } = &self.act;
        config.knows(connection)?;
        let connection = plain(connection)?;
        let server = Server::find(config)?;
        let path = format!("/recovery/{connection}/end");
        let told = app::command_runtime()?.block_on(server.post(&path, None))?;
        let text = match (told["ended"] == true, told["paused"] == true) {
            (true, false) => "recovery has ended; what was withheld is being done",
            (true, true) => {
                "recovery has ended; all writes are stopped, so what was withheld is done after \
                 `drawbridge resume`"
            }
            (false, _) => "there was no recovery to end",
        };
        Screen::new().line(Tone::Good, text);
        Ok(())
    }
}

fn list(screen: Screen, all: bool, json: bool, config: &ConfigFile) -> Result<(), Failed> {
    let server = Server::find(config)?;
    let path = format!("/held?all={all}");
    let told = app::command_runtime()?.block_on(server.get(&path))?;
    if json {
        screen.line(Tone::Plain, &serde_json::to_string_pretty(&told)?);
        return Ok(());
    }
    let holds = told["held"].as_array().map_or(&[][..], Vec::as_slice);
    if holds.is_empty() {
        screen.line(Tone::Good, "nothing waits");
    }
    let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
    for hold in holds {
        let line = format!(
            "{}  {}  {}  {} by {}, {}",
            text(&hold["id"]),
            text(&hold["connection"]),
            text(&hold["at"]),
            text(&hold["method"]),
            text(&hold["sentBy"]),
            text(&hold["state"]),
        );
        let tone = if hold["state"] == "open" {
            Tone::Bad
        } else {
            Tone::Quiet
        };
        screen.line(tone, &line);
        let takes = format!("takes away {}", text(&hold["takesAway"]));
        screen.in_brief(240, Tone::Plain, "  ", &takes);
        if let Some(at) = hold["changedAt"].as_str() {
            let changed = format!("changed since it was held; this is what it would do at {at}");
            screen.line(Tone::Plain, &format!("  {changed}"));
        }
        screen.in_brief(240, Tone::Quiet, "  ", &text(&hold["why"]));
    }
    Ok(())
}
