//! Of those who are members without having been asked for: whose membership was
//! taken away here. Somebody in the application has given it back, or the
//! application said that it was gone and it was not; which, nobody knows here. It
//! is told as that and left alone (reliability: I-26, H-15).

use super::super::{Failure, Session, session::store_failed};
use crate::{
    scim::resource::ResourceId,
    store::{Drifted, GivenBack},
};

impl Session {
    /// Among those who are named.
    pub(super) async fn tell_given_back(&self, found: &mut Drifted) -> Result<(), Failure> {
        let mut asked = Vec::new();
        for group in &found.details {
            let users = group.unasked_users.iter();
            let users: Vec<ResourceId> = users.filter_map(|id| ResourceId::parse(id)).collect();
            let id = ResourceId::parse(&group.group).filter(|_| !users.is_empty());
            asked.extend(id.map(|id| (id, users)));
        }
        let deleted = found.details.iter().map(|group| group.deleted.len() as u64);
        found.given_back = deleted.sum();
        let (store, c) = (&self.bridge.store, self.connection.key);
        let mut taken = if asked.is_empty() {
            Vec::new()
        } else {
            store.taken_away(c, asked).await.map_err(store_failed)?
        };
        taken.sort_unstable_by_key(|it| (it.group, it.user));
        for group in &mut found.details {
            let here = taken
                .iter()
                .filter(|it| it.group.to_string() == group.group);
            let back = here.map(|it| GivenBack {
                user: it.user.to_string(),
                removed: it.at,
            });
            group.given_back = back.collect();
        }
        found.given_back += taken.len() as u64;
        if found.given_back > 0 {
            tracing::warn!(
                connection = %self.connection.name, members = found.given_back,
                "what was taken away here is there, given back by somebody or never gone; see drawbridge reconcile"
            );
        }
        Ok(())
    }
}
