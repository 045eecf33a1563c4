//! `drawbridge audit`: the record of every change and every call, checked and
//! handed on. Asks a running server, or opens the store itself.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    ConfigFile, Failed,
    operator::{self, Server},
    screen::{Screen, Tone},
};
use crate::{
    app::{self, StartError},
    bridge::events,
    store::{
        self, StoreError,
        audit::{AuditRow, CUT, Walk},
    },
};

/// Records read at a time.
const PAGE: usize = 1_000;

/// Check or export the record of every change and every call.
///
/// Each record is bound to the one before it by a digest, so that nothing can
/// be changed, taken out or put in unseen. Works with a running server and
/// without.
#[derive(Debug, Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Walk the whole chain and tell its head; exit status 1 if it is broken.
    ///
    /// A head is noted beside the store every ten seconds and when a server ends,
    /// so that an end that was cut off is seen too; a server that starts on such a
    /// store records it, which is told from then on, but for a later --head. Whoever can write both can
    /// make them match: keep the head elsewhere, and with --head it is found again.
    Verify {
        /// A head that was told before, NUMBER:DIGEST, which must still be there.
        #[arg(long, value_name = "HEAD")]
        head: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print the records as JSON lines: OCSF classes, RFC 9967 event URIs.
    Export {
        /// Only what follows the record of this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
        /// Only this connection, which may be one that is not configured any more.
        #[arg(long, value_name = "NAME")]
        connection: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Audit {
    pub(super) fn run(&self) -> Result<(), Failed> {
        let runtime = app::command_runtime()?;
        match &self.act {
            Act::Verify { head, config } => runtime.block_on(verify(config, head.as_deref())),
            Act::Export {
                after,
                connection,
                config,
            } => runtime.block_on(export(config, *after, connection.as_deref())),
        }
    }
}

/// Where the records come from.
enum Source {
    Running(Server),
    File(std::sync::Arc<dyn store::Store>),
}

impl Source {
    fn find(config: &ConfigFile) -> Result<Self, Failed> {
        let store = operator::store(config)?;
        if !store.exists() {
            return Err(Failed::usage(format!(
                "there is no store {}",
                store.display()
            )));
        }
        // Only a running server holds the store; one that was killed has left
        // its address behind.
        match app::open_store(&store) {
            Err(StartError::Store {
                source: StoreError::Unavailable(_),
                ..
            }) => Ok(Self::Running(Server::find(config)?)),
            opened => Ok(Self::File(opened?)),
        }
    }

    async fn page(&self, after: i64) -> Result<Vec<AuditRow>, Failed> {
        match self {
            Self::Running(server) => {
                let page = server
                    .get(&format!("/audit?after={after}&most={PAGE}"))
                    .await?;
                Ok(serde_json::from_value(page)?)
            }
            Self::File(store) => Ok(store.audit(after, PAGE).await?),
        }
    }

    /// Refuses a name that is neither in the configuration nor in any record: what
    /// a connection did is told also when it is configured no more.
    async fn knows(&self, config: &ConfigFile, name: &str) -> Result<(), Failed> {
        let mut known = config.connections()?;
        let mut after = 0;
        while !known.contains(name) {
            let page = self.page(after).await?;
            let Some(last) = page.last() else {
                return Err(config.no_connection(name, &known));
            };
            after = last.number;
            known.extend(page.into_iter().map(|row| row.connection));
        }
        Ok(())
    }
}

async fn verify(config: &ConfigFile, head: Option<&str>) -> Result<(), Failed> {
    let wanted = head.map(parse_head).transpose()?;
    let mut found = wanted.is_none();
    let source = Source::find(config)?;
    // Read before the records: what is written meanwhile follows it.
    let noted = store::noted_head(&operator::store(config)?)?;
    let mut kept = noted.is_none();
    let mut walk = Walk::default();
    // Of a head that is said to be known, only what came after it is news.
    let known = wanted.as_ref().map_or(0, |(number, _)| *number);
    let mut lost = None;
    loop {
        let after = walk.head().map_or(0, |(number, _)| number);
        let page = source.page(after).await?;
        if page.is_empty() {
            break;
        }
        for row in &page {
            walk.step(row).map_err(|what| Failed {
                text: format!("the audit is broken: {what}"),
                status: 1,
            })?;
            found |= walk.head() == wanted;
            kept |= walk.head() == noted;
            if row.action == CUT && row.number > known {
                lost = lost.or(Some(row.clone()));
            }
        }
    }
    if !found {
        return Err(Failed {
            text: format!(
                "the audit is broken: the head {} is not in it any more",
                head.unwrap_or_default()
            ),
            status: 1,
        });
    }
    if let Some((number, _)) = noted.as_ref().filter(|_| !kept) {
        return Err(Failed {
            text: format!(
                "the audit is broken: record {number} was noted beside the store and is not in it \
                 any more; its end was cut off, or the store is an older copy"
            ),
            status: 1,
        });
    }
    if let Some(row) = lost {
        let detail: Value = serde_json::from_str(&row.detail).unwrap_or_default();
        let head = walk.head().unwrap_or_default();
        return Err(Failed {
            text: format!(
                "the audit has lost its end once: record {} was noted beside the store and was not \
                 in it at a later start, which record {} tells; its end was cut off, or the store \
                 was an older copy. The chain is whole: `--head {}:{}` checks from here on",
                detail["noted"], row.number, head.0, head.1
            ),
            status: 1,
        });
    }
    let screen = Screen::new();
    if noted.is_none() {
        screen.line(
            Tone::Plain,
            "no head is noted beside the store, so an end that was cut off is not seen",
        );
    }
    let Some((number, chain)) = walk.head() else {
        screen.line(Tone::Plain, "there are no records");
        return Ok(());
    };
    screen.line(
        Tone::Good,
        &format!("{} records, the chain is whole", walk.rows),
    );
    if walk.unchained > 0 {
        screen.line(
            Tone::Plain,
            &format!("{} of them are older than the chain", walk.unchained),
        );
    }
    screen.line(Tone::Plain, &format!("head {number}:{chain}"));
    Ok(())
}

fn parse_head(text: &str) -> Result<(i64, String), Failed> {
    let parts = text.split_once(':');
    let parsed = parts.and_then(|(number, chain)| Some((number.parse().ok()?, chain.to_owned())));
    parsed.ok_or_else(|| {
        Failed::usage("a head is NUMBER:DIGEST, as `drawbridge audit verify` tells it")
    })
}

async fn export(
    config: &ConfigFile,
    mut after: i64,
    connection: Option<&str>,
) -> Result<(), Failed> {
    let source = Source::find(config)?;
    if let Some(name) = connection {
        source.knows(config, name).await?;
    }
    let screen = Screen::new();
    loop {
        let page = source.page(after).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = last.number;
        for row in &page {
            if connection.is_none_or(|name| name == row.connection) {
                for event in events::of(row) {
                    screen.line(Tone::Plain, &event.to_string());
                }
            }
        }
    }
}
