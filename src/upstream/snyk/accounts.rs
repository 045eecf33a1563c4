//! Who is who: accounts by their e-mails, among the memberships of the
//! connection's Snyk Groups and, where that is allowed, among the users of SSO
//! connections. Nobody is created: Snyk's users come by signing in.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Snyk,
    api::{Group, Membership, SsoUser, Which},
    families::name,
    membership::later,
    settings::{Sso, UnknownUsers},
    unread::Unread,
};
use crate::{
    plan::state::Principal,
    upstream::{
        RemoteUser, UpstreamError,
        client::{Moment, Priority, note_left, shared},
    },
};

/// A list of SSO users, which has no filter, answers whoever is found in it within
/// so long.
const SHARED: Duration = Duration::from_secs(60);
/// That somebody is not in it is believed for so long, or for so many times what it
/// took to read: who signs in is found soon, and the pace is left to others.
const MISSED: Duration = Duration::from_secs(5);
const SHARE: u32 = 10;

/// The users of all SSO connections, once read.
pub(super) type SsoUsers = tokio::sync::Mutex<Option<Listed>>;

#[derive(Debug)]
pub(super) struct Listed {
    began: Moment,
    took: Duration,
    users: Arc<Vec<SsoUser>>,
}

impl Listed {
    fn serves(&self, sought: &Sought<'_>) -> bool {
        let missed = (self.took * SHARE).clamp(MISSED, SHARED);
        match sought {
            Sought::One(is) if self.users.iter().any(is) => self.began.is_within(SHARED),
            Sought::One(_) | Sought::Anew => self.began.is_within(missed),
            Sought::Since(asked) => self.began.is_within(asked.age()),
        }
    }
}

/// What a list is read for.
enum Sought<'a> {
    One(&'a (dyn Fn(&SsoUser) -> bool + Sync)),
    /// An answer of Snyk has just contradicted who is in it.
    Anew,
    /// Something ends by who is in it, and who is not.
    Since(Moment),
}

impl Snyk {
    /// The Snyk Groups of the connection: those of the configuration, or all
    /// that are visible.
    pub(super) async fn snyk_groups(
        &self,
        question: &str,
    ) -> Result<Arc<Vec<Group>>, UpstreamError> {
        shared("groups", question, async {
            let configured = self.families.configured();
            if configured.is_empty() {
                return self.found_groups().await;
            }
            let mut groups = Vec::with_capacity(configured.len());
            for id in configured {
                let group = self.api.group(&id).await?;
                groups.push(group.ok_or_else(|| not_visible(&id))?);
            }
            Ok(groups)
        })
        .await
    }

    /// The same by their ids alone, of which configured ones are known.
    pub(super) async fn group_ids(&self) -> Result<Vec<String>, UpstreamError> {
        let configured = self.families.configured();
        if !configured.is_empty() {
            return Ok(configured);
        }
        let groups = self.found_groups().await.map_err(unwritten)?;
        Ok(groups.into_iter().map(|group| group.id).collect())
    }

    /// All that are visible, if some of them are those that are known. By the key of
    /// another organization people with the same addresses are others: nobody is
    /// linked, found or ended by it.
    async fn found_groups(&self) -> Result<Vec<Group>, UpstreamError> {
        let groups = self.api.groups().await?;
        if !self.families.are_others(&groups) {
            return Ok(groups);
        }
        note_left(OTHERS.into());
        Err(later(OTHERS))
    }

    /// Whether a Snyk Group is among those that are visible. The key of another
    /// organization proves of none that it is not there.
    pub(super) async fn lists(&self, group: &str) -> Result<bool, UpstreamError> {
        let configured = self.families.configured();
        if !configured.is_empty() {
            return Ok(configured.iter().any(|it| it == group));
        }
        let groups = self.found_groups().await.map_err(unwritten)?;
        Ok(groups.iter().any(|it| it.id == group))
    }

    /// All memberships of a Snyk Group. Questions of one piece of background
    /// work are answered by one reading.
    pub(super) async fn roster(
        &self,
        group: &str,
        question: &str,
    ) -> Result<Arc<Vec<Membership>>, UpstreamError> {
        shared(group, question, async { self.read_all(group).await }).await
    }

    pub(super) async fn read_all(&self, group: &str) -> Result<Vec<Membership>, UpstreamError> {
        let began = Moment::now();
        let all = self.api.memberships(group, Which::All).await?;
        self.memory.read(group, &all, began);
        self.several.read(group, &all);
        self.families.learn_all(group, &all);
        Ok(all)
    }

    /// Reads which roles there are, unless all were read before.
    pub(super) async fn know_roles(&self, group: &str) -> Result<(), UpstreamError> {
        if self.families.knows_all(group) {
            return Ok(());
        }
        let all = self.look(group, Which::All, Priority::Ordinary).await?;
        self.families.learn_all(group, &all);
        Ok(())
    }

    /// Every account that can be seen, and of those that share an e-mail each:
    /// also one that has only signed in, as a user here may be linked to it.
    pub(super) async fn all_users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        // A page tells where the next one is, so two lists at once use what the round
        // trips of one leave of the pace.
        let rosters = async {
            let mut rosters = Vec::new();
            for group in self.snyk_groups("users").await?.iter() {
                let all = self.roster(&group.id, "users").await?;
                rosters.push((group.id.clone(), all));
            }
            Ok::<_, UpstreamError>(rosters)
        };
        let sso = async {
            match self.settings.sso {
                Sso::Ignore => Ok(Vec::new()),
                Sso::Link | Sso::Remove => {
                    let (users, unread) = self.read_sso_users().await?;
                    unread.first()?;
                    Ok(users)
                }
            }
        };
        let (rosters, sso) = tokio::try_join!(rosters, sso)?;
        let mut found: Vec<RemoteUser> = Vec::new();
        // Their ids, and where they stand in what was found.
        let mut met: HashMap<String, (String, usize)> = HashMap::new();
        for (group, roster) in &rosters {
            for membership in roster.iter() {
                let (email, id) = (&membership.email, &membership.user_id);
                let one = || in_group(membership, group);
                match met.get(email) {
                    Some((first, _)) if first != id => {
                        self.memory.note_twins(email);
                        found.push(one());
                    }
                    Some((_, place)) => {
                        if let Some(first) = found.get_mut(*place) {
                            first.has.extend(one().has);
                        }
                    }
                    None if email.is_empty() => {}
                    None => {
                        met.insert(email.clone(), (id.clone(), found.len()));
                        found.push(one());
                    }
                }
            }
        }
        let ids = found.iter().filter_map(|it| it.upstream_id.clone());
        let mut ids: HashSet<String> = ids.collect();
        for user in &sso {
            let shares = met.contains_key(&user.email);
            let shown = !user.email.is_empty() && (user.active || !shares);
            if shown && ids.insert(user.id.clone()) {
                met.insert(user.email.clone(), (user.id.clone(), found.len()));
                found.push(of_sso(user));
            }
        }
        Ok(found)
    }

    /// One account by its e-mail, as it is now; of several with the same one no
    /// id, as nobody can tell which is meant.
    pub(super) async fn one_user(
        &self,
        account: &str,
    ) -> Result<Option<RemoteUser>, UpstreamError> {
        let account = account.to_lowercase();
        let (mut found, mut unread) = (Vec::<RemoteUser>::new(), Unread::default());
        for group in self.group_ids().await? {
            let which = Which::OfEmail(&account);
            match self.look(&group, which, Priority::Ordinary).await {
                Ok(shown) => found.extend(shown.iter().map(of_membership)),
                Err(error) => unread.add(group, error),
            }
        }
        // Another one may have the address there.
        self.all_read(&unread)?;
        if found.is_empty() && self.settings.sso != Sso::Ignore {
            let is_it = |it: &SsoUser| it.email == account && it.active;
            let (users, unread) = self.sso_users(Sought::One(&is_it)).await?;
            self.all_read(&unread)?;
            found.extend(users.iter().filter(|it| is_it(it)).map(of_sso));
        }
        let first = found.first().and_then(|it| it.upstream_id.clone());
        let are_one = found.iter().all(|it| it.upstream_id == first);
        let one = found.into_iter().next();
        Ok(one.map(|one| RemoteUser {
            upstream_id: first.filter(|_| are_one),
            ..one
        }))
    }

    /// The id of the account with an e-mail; `known` is the one it had before, which
    /// what cannot be read is no proof against. Any other must be the only one.
    pub(super) async fn link(
        &self,
        account: &str,
        known: Option<&str>,
    ) -> Result<String, UpstreamError> {
        let account = account.to_lowercase();
        let formerly = self.memory.take_formerly(&account);
        let lately = self.memory.person(&account);
        if let Some(id) = lately.filter(|id| known.is_none_or(|known| known == id)) {
            return Ok(id);
        }
        let (mut ids, mut unread) = self.ids_in_groups(&account, Priority::Ordinary).await?;
        if ids.is_empty() && self.settings.sso != Sso::Ignore {
            let is_it = |user: &SsoUser| user.email == account && user.active;
            let (users, more) = self.sso_users(Sought::One(&is_it)).await?;
            unread.extend(more);
            let same = users.iter().filter(|user| is_it(user));
            ids = same.map(|user| user.id.clone()).collect();
        }
        if let Some(known) = known {
            // Who was withdrawn is shown nowhere, and is there all the same.
            let unseen = ids.is_empty() && self.settings.sso != Sso::Remove;
            if unseen || ids.contains(known) || self.is_shown(known, None).await? {
                return Ok(known.to_owned());
            }
        }
        if ids.len() > 1 {
            return Err(not_one());
        }
        self.all_read(&unread)?;
        match (ids.pop_first(), formerly) {
            (Some(id), _) => Ok(id),
            (None, Some(id)) if self.may_have_stayed(&account, &id).await? => Ok(id),
            (None, _) => Err(self.nobody()),
        }
    }

    /// Whether an account that had an address is it still, where nobody is shown with
    /// that: it lost everything by our doing, and is there all the same, unless it is
    /// shown with another address or as one that cannot sign in.
    async fn may_have_stayed(&self, account: &str, id: &str) -> Result<bool, UpstreamError> {
        if self.settings.sso == Sso::Remove || self.memory.are_twins(account) {
            return Ok(false);
        }
        if self.is_shown(id, None).await? {
            return Ok(false);
        }
        if self.settings.sso == Sso::Ignore {
            return Ok(true);
        }
        let is_it = |user: &SsoUser| user.id == id;
        let (users, unread) = self.sso_users(Sought::One(&is_it)).await?;
        self.all_read(&unread)?;
        Ok(!users.iter().any(is_it))
    }

    /// Who has the address of an account now that was linked before and is not
    /// there any more: one that was made anew, by the same person as far as
    /// anybody can tell. Nobody as long as the linked one is shown anywhere.
    pub(super) async fn made_anew(&self, who: &Principal) -> Result<Option<String>, UpstreamError> {
        let Some(linked) = &who.upstream_id else {
            return Ok(None);
        };
        let account = who.account.to_lowercase();
        let asked = Moment::now();
        if self.memory.are_twins(&account) {
            // The other one may be somebody else.
            return Ok(None);
        }
        let (mut ids, unread) = self.ids_in_groups(&account, Priority::Revocation).await?;
        if ids.contains(linked) {
            return Ok(None);
        }
        self.all_read(&unread)?;
        if ids.is_empty() {
            return Ok(None);
        }
        if self.is_shown(linked, Some(asked)).await? {
            return Ok(None);
        }
        if ids.len() > 1 {
            return Err(not_one());
        }
        Ok(ids.pop_first())
    }

    /// Whether an account is there, whatever its address: in a Snyk Group, or among
    /// those who can sign in, also since then. It is not only where all of them could
    /// be read.
    async fn is_shown(&self, id: &str, since: Option<Moment>) -> Result<bool, UpstreamError> {
        let mut unread = Unread::default();
        for group in self.group_ids().await? {
            let which = Which::OfUser(id);
            match self.look(&group, which, Priority::Revocation).await {
                Ok(shown) if shown.is_empty() => {}
                Ok(_) => return Ok(true),
                Err(error) => unread.add(group, error),
            }
        }
        if self.settings.sso != Sso::Ignore {
            let is_it = |user: &SsoUser| user.id == id && user.active;
            let sought = since.map_or(Sought::One(&is_it), Sought::Since);
            let (users, more) = self.sso_users(sought).await?;
            if users.iter().any(is_it) {
                return Ok(true);
            }
            unread.extend(more);
        }
        self.all_read(&unread)?;
        Ok(false)
    }

    /// The same of somebody who has nothing yet, and is known by signing in alone.
    pub(super) async fn signed_in_anew(
        &self,
        who: &Principal,
    ) -> Result<Option<String>, UpstreamError> {
        let account = who.account.to_lowercase();
        if self.settings.sso == Sso::Ignore || self.memory.are_twins(&account) {
            return Ok(None);
        }
        let (users, unread) = self.sso_users(Sought::Anew).await?;
        let is_linked = |it: &&SsoUser| Some(&it.id) == who.upstream_id.as_ref();
        let active = users.iter().filter(|it| it.active);
        if active.clone().any(|it| is_linked(&it)) {
            return Ok(None);
        }
        self.all_read(&unread)?;
        let same = active.filter(|it| it.email == account);
        let mut ids: BTreeSet<String> = same.map(|it| it.id.clone()).collect();
        if ids.len() > 1 {
            return Err(not_one());
        }
        Ok(ids.pop_first())
    }

    /// Who has an address in the Snyk Groups that can be read, and which cannot.
    async fn ids_in_groups(
        &self,
        account: &str,
        priority: Priority,
    ) -> Result<(BTreeSet<String>, Unread), UpstreamError> {
        let (mut ids, mut unread) = (BTreeSet::new(), Unread::default());
        for group in self.group_ids().await? {
            let which = Which::OfEmail(account);
            match self.look(&group, which, priority).await {
                Ok(found) => ids.extend(found.into_iter().map(|it| it.user_id)),
                Err(error) => unread.add(group, error),
            }
        }
        if ids.len() > 1 {
            self.memory.note_twins(account);
        }
        Ok((ids, unread))
    }

    fn nobody(&self) -> UpstreamError {
        let reason = NOBODY.to_owned();
        match self.settings.unknown_users {
            UnknownUsers::Stage => UpstreamError::Staged { reason },
            UnknownUsers::Refuse => UpstreamError::Barred { reason },
        }
    }

    /// A list of them that is not too old for what is sought. Whoever asks while it is
    /// read waits for it. One that is not whole serves nobody else.
    async fn sso_users(
        &self,
        sought: Sought<'_>,
    ) -> Result<(Arc<Vec<SsoUser>>, Unread), UpstreamError> {
        let mut kept = self.sso_users.lock().await;
        if let Some(list) = kept.as_ref().filter(|list| list.serves(&sought)) {
            return Ok((Arc::clone(&list.users), Unread::default()));
        }
        let began = Moment::now();
        let (users, unread) = self.read_sso_users().await?;
        let users = Arc::new(users);
        if unread.first().is_ok() {
            *kept = Some(Listed {
                began,
                took: began.age(),
                users: Arc::clone(&users),
            });
        }
        Ok((users, unread))
    }

    /// Those of the Snyk Groups that can be read, and which cannot.
    async fn read_sso_users(&self) -> Result<(Vec<SsoUser>, Unread), UpstreamError> {
        let (mut all, mut unread) = (Vec::new(), Unread::default());
        let mut read = HashSet::new();
        for group in self.group_ids().await? {
            if let Err(error) = self.read_sso_of(&group, &mut read, &mut all).await {
                unread.add(group, error);
            }
        }
        Ok((all, unread))
    }

    async fn read_sso_of(
        &self,
        group: &str,
        read: &mut HashSet<String>,
        all: &mut Vec<SsoUser>,
    ) -> Result<(), UpstreamError> {
        for sso in self.api.sso_connections(group).await? {
            // Groups may share a connection.
            if !read.contains(&sso.id) {
                all.extend(self.api.sso_users(group, &sso.id).await?);
                read.insert(sso.id);
            }
        }
        Ok(())
    }
}

/// Why nothing is done by a credential.
const OTHERS: &str = "none of the Snyk Groups that are known here is visible to the credential, which \
    shows others: it is that of another organization; put back the one of this, or name the Snyk \
    Groups that are meant under groups in the configuration";

/// Why an account is not linked.
const NOBODY: &str = "Snyk shows no user with this e-mail address to the bridge; users come by \
    signing in to Snyk, and are found then";

pub(super) fn not_one() -> UpstreamError {
    UpstreamError::Barred {
        reason: "several users have this e-mail address in Snyk, and it cannot be told which one \
                 is meant"
            .into(),
    }
}

/// Nothing was written by a look.
fn unwritten(error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Unknown { reason } => later(&reason),
        other => other,
    }
}

fn not_visible(group: &str) -> UpstreamError {
    UpstreamError::Rejected {
        reason: format!("the Snyk Group {group} of the configuration is not visible to the token"),
    }
}

fn in_group(membership: &Membership, group: &str) -> RemoteUser {
    RemoteUser {
        has: vec![(group.to_owned(), name(group, &membership.role_id))],
        ..of_membership(membership)
    }
}

fn of_membership(membership: &Membership) -> RemoteUser {
    remote(
        &membership.user_id,
        &membership.email,
        [&membership.display_name, &membership.username],
    )
}

fn of_sso(user: &SsoUser) -> RemoteUser {
    let called = [&user.display_name, &user.username];
    RemoteUser {
        active: user.active,
        idle: true,
        ..remote(&user.id, &user.email, called)
    }
}

fn remote(id: &str, email: &str, called: [&String; 2]) -> RemoteUser {
    let names = ["displayName", "username"].into_iter().zip(called);
    let names = names.filter(|(_, value)| !value.is_empty());
    RemoteUser {
        account: email.to_owned(),
        upstream_id: Some(id.to_owned()),
        active: true,
        fields: names
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect(),
        ..RemoteUser::default()
    }
}
