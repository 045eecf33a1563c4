//! Groups that the application has made anew under another name of its own, and that are
//! the same ones by the configuration: what stood for the one goes on as the other.
//! Looked for by whoever has read the application, and before every turn of a group,
//! which is nothing but a look at what is known.

use std::sync::Arc;

use super::{Failure, Session, clock, session::store_failed};
use crate::{
    plan::{guard::Guard, state::ConnectionKey},
    store::{Actor, Lane, Store, StoreError, Successor, Watch, WentOn},
    upstream::Upstream,
};

/// Who does it before a turn.
pub(super) const ENGINE: &str = "bridge";
/// Why one stays that is protected by a name that it would lose.
const PROTECTED: &str = "guard.protected names it by the id of the one before: write its \
    displayName there, or the new id";

/// Those of which that is known. Returns the lanes that have work because of it.
pub(super) async fn go_on(
    store: &dyn Store,
    upstream: &Arc<dyn Upstream>,
    (connection, key): (&str, ConnectionKey),
    (guard, actor): (&Guard, &str),
) -> Result<Vec<Lane>, StoreError> {
    let mut lanes = Vec::new();
    for (from, to) in upstream.remade() {
        let protected = &guard.protected;
        let is_lost = protected.least([from.as_str()]) > protected.least([to.as_str()]);
        let went_on = if is_lost {
            WentOn::Stays(PROTECTED.into())
        } else {
            let (names, name) = (Arc::clone(upstream), to.clone());
            let successor = Successor {
                family: upstream.family(&to),
                adorn: Box::new(move |attributes| names.adorn_group(attributes, &name)),
                from: from.clone(),
                to: to.clone(),
            };
            let actor = Actor {
                name: actor.to_owned(),
                at: clock::now(),
                watch: Watch::Off,
                put: false,
            };
            store.go_on_as(key, successor, actor).await?
        };
        match went_on {
            WentOn::Nothing => upstream.note_remade(&from, None),
            WentOn::Stays(why) => {
                tracing::warn!(%connection, %from, %to, %why, "a group was made anew, and the Group that stands for the one before stays as it is");
                upstream.note_remade(&from, Some(&why));
            }
            WentOn::Done(group, lane) => {
                tracing::warn!(%connection, %from, %to, %group, "a group was made anew in the application; its Group goes on as the new one, and whoever is asked for in it is looked at and given it");
                upstream.note_remade(&from, None);
                lanes.push(lane);
            }
        }
    }
    Ok(lanes)
}

impl Session {
    /// After the groups were read.
    pub(super) async fn go_on_as_remade(&self) -> Result<(), Failure> {
        let connection = &self.connection;
        let of = (connection.name.as_str(), connection.key);
        let (store, by) = (
            &*self.bridge.store,
            (&*connection.policy.guard, self.actor.as_str()),
        );
        let lanes = go_on(store, &connection.upstream, of, by).await;
        connection.lanes.kick_all(lanes.map_err(store_failed)?);
        Ok(())
    }
}
