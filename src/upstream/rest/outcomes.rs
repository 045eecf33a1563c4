//! What became of each member of a call that was answered with success, by the
//! list of those who were done, or were not. What is not understood is unknown
//! for everybody, because the group is read then.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use serde_json::Value;

use super::{
    answers::member,
    body::Told,
    pointer::{Pointer, text_of},
    settings::Member,
};
use crate::{
    plan::state::UserKey,
    upstream::{
        MemberOutcome,
        client::{is_set, is_unexplained},
        signs,
    },
};

/// In the order in which they were sent.
pub(super) fn of(
    answer: &Value,
    (applied, failed): (Option<&Pointer>, Option<&Pointer>),
    sent: &[(UserKey, &Told)],
    (shape, removes): (&Member, bool),
) -> Vec<(UserKey, MemberOutcome)> {
    let sent_to = Sent::new(sent, shape);
    let everybody = || sent.iter().map(|(user, _)| *user).collect();
    let done: Option<HashSet<UserKey>> = match (applied, failed) {
        // What tells of a failure beside its list has not made it of what was done.
        (Some(_), _) if signs::of_members(&unexplained(answer, failed), removes) => None,
        (Some(at), _) => {
            let list = at.of(answer).and_then(Value::as_array);
            list.map(|list| list.iter().filter_map(|it| sent_to.who(it)).collect())
        }
        // It is taken for a success, but no list says for whom.
        (None, Some(at)) if is_unexplained(answer, at.as_str()) => None,
        (None, Some(at)) => match at.of(answer) {
            None | Some(Value::Null) => Some(everybody()),
            Some(Value::Array(list)) => sent_to.all_but(list),
            Some(_) => None,
        },
        (None, None) => Some(everybody()),
    };
    let outcome = |user: &UserKey| match &done {
        Some(done) if done.contains(user) => MemberOutcome::Applied,
        Some(_) => MemberOutcome::LeftOut,
        None => MemberOutcome::Unknown,
    };
    let all = sent.iter().map(|(user, _)| (*user, outcome(user)));
    all.collect()
}

/// Without what is declared to say of whom it was not done.
fn unexplained<'a>(answer: &'a Value, failed: Option<&Pointer>) -> Cow<'a, Value> {
    match (answer, failed.and_then(|at| at.as_str().split('/').nth(1))) {
        (Value::Object(whole), Some(key)) if whole.contains_key(key) => {
            let mut whole = whole.clone();
            whole.remove(key);
            Cow::Owned(Value::Object(whole))
        }
        _ => Cow::Borrowed(answer),
    }
}

/// The same where answers tell how many were done. Whoever was so already need not be
/// among them, so any other number than that of those who were sent is no word of one.
pub(super) fn counted(
    answer: &Value,
    at: &Pointer,
    sent: &[(UserKey, &Told)],
) -> Vec<(UserKey, MemberOutcome)> {
    let count = at.text(answer).and_then(|text| text.trim().parse().ok());
    let outcome = if count == Some(sent.len()) {
        MemberOutcome::Applied
    } else {
        MemberOutcome::Unknown
    };
    let all = sent.iter().map(|(user, _)| (*user, outcome.clone()));
    all.collect()
}

/// Whether what stands where an error would is a list of who failed, all of them
/// sent, or nothing at all.
pub(super) fn explains(answer: &Value, failed: &Pointer, told: &[Told], shape: &Member) -> bool {
    let sent: Vec<_> = (1..).map(UserKey).zip(told).collect();
    match failed.of(answer) {
        Some(Value::Array(list)) => Sent::new(&sent, shape).all_but(list).is_some(),
        Some(other) => !is_set(other),
        None => true,
    }
}

/// Those who were sent, by what was told of them.
struct Sent<'a> {
    shape: &'a Member,
    ids: HashMap<&'a str, UserKey>,
    accounts: HashMap<String, UserKey>,
}

impl<'a> Sent<'a> {
    fn new(sent: &[(UserKey, &'a Told)], shape: &'a Member) -> Self {
        let (mut ids, mut accounts) = (HashMap::new(), HashMap::new());
        for (user, told) in sent {
            for (hole, value) in *told {
                if *hole == "member.id" {
                    ids.insert(value.as_str(), *user);
                } else {
                    accounts.insert(value.to_lowercase(), *user);
                }
            }
        }
        Self {
            shape,
            ids,
            accounts,
        }
    }

    /// Whom an entry names, if it names one person. Where nobody says whether a
    /// text is an id or an account, it must not be one's id and another's name.
    fn who(&self, entry: &Value) -> Option<UserKey> {
        let (id, account) = if let (Some(text), None) = (text_of(entry), self.shape.text) {
            (Some(text.clone()), Some(text))
        } else {
            let found = member(entry, self.shape)?;
            (found.upstream_id, found.account)
        };
        let id = id.and_then(|id| self.ids.get(id.as_str()).copied());
        let account = account.and_then(|it| self.accounts.get(&it.to_lowercase()).copied());
        match (id, account) {
            (Some(one), Some(other)) if one != other => None,
            (one, other) => one.or(other),
        }
    }

    /// Everybody but those who are named; `None` if a name says nothing.
    fn all_but(&self, list: &[Value]) -> Option<HashSet<UserKey>> {
        let named: HashSet<UserKey> = list.iter().map(|it| self.who(it)).collect::<Option<_>>()?;
        let all = self.ids.values().chain(self.accounts.values()).copied();
        Some(all.filter(|user| !named.contains(user)).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{
        super::settings::{Plain, Settings},
        *,
    };

    fn shape() -> Member {
        let text = "member = { id = \"/id\", account = \"/mail\" }";
        toml::from_str::<Settings>(text).unwrap().member
    }

    /// Who is done of three, of whom the third has no id, when the answer to
    /// their call has this at `/list`.
    fn done(list: &Value, is_applied: bool, text: Option<Plain>) -> [bool; 3] {
        let at: Settings = toml::from_str("user = { id = \"/list\" }").unwrap();
        let at = at.user.id.unwrap();
        let shape = Member { text, ..shape() };
        let told = [("501", "bob"), ("B", "501"), ("", "Cy")].map(|(id, account)| {
            let id = Some(id).filter(|id| !id.is_empty());
            let id = id.map(|id| ("member.id", id.to_owned()));
            let account = ("member.account", account.to_owned());
            id.into_iter().chain([account]).collect::<Told>()
        });
        let keys = [1, 2, 3].map(UserKey);
        let sent: Vec<_> = keys.into_iter().zip(&told).collect();
        let lists = if is_applied {
            (Some(&at), None)
        } else {
            (None, Some(&at))
        };
        let found = of(&json!({ "list": list }), lists, &sent, (&shape, false));
        [0, 1, 2].map(|n: usize| found[n].1 == MemberOutcome::Applied)
    }

    #[test]
    fn only_those_of_whom_it_is_said_are_done() {
        let list = json!(["cY", { "id": "B" }, { "other": 1 }]);
        assert_eq!(done(&list, true, None), [false, true, true]);
        for nothing in [json!(null), json!("B"), json!({ "B": 1 }), json!([["B"]])] {
            assert_eq!(done(&nothing, true, None), [false; 3], "{nothing}");
        }
        let none = |lists| {
            of(
                &json!({}),
                lists,
                &[(UserKey(1), &Told::new())],
                (&shape(), false),
            )
        };
        assert_eq!(none((None, None))[0].1, MemberOutcome::Applied);
    }

    #[test]
    fn a_list_beside_what_tells_of_a_failure_proves_nothing() {
        let at: Settings = toml::from_str("user = { id = \"/list\", account = \"/no\" }").unwrap();
        let lists = (at.user.id.as_ref(), at.user.account.as_ref());
        let told = Told::from([("member.id", "B".to_owned())]);
        let found = |more: Value, failed, removes| {
            let mut answer = json!({ "list": ["B"] });
            let more = more.as_object().unwrap().clone();
            answer.as_object_mut().unwrap().extend(more);
            let lists = if failed { lists } else { (lists.0, None) };
            let sent = [(UserKey(1), &told)];
            of(&answer, lists, &sent, (&shape(), removes)).remove(0).1
        };
        for beside in [
            json!({ "success": false }),
            json!({ "errors": [{ "message": "one is not known" }] }),
            json!({ "no": ["B"], "failed": ["B"] }),
            json!({ "list": [{ "id": "B", "status": "failed" }] }),
            json!({ "data": { "status": 404 } }),
        ] {
            assert_eq!(found(beside, true, false), MemberOutcome::Unknown);
        }
        let declared = json!({ "no": [{ "status": "failed" }], "message": "done" });
        assert_eq!(found(declared, true, false), MemberOutcome::Applied);
        let nowhere = json!({ "notFound": ["C"] });
        assert_eq!(found(nowhere.clone(), false, true), MemberOutcome::Applied);
        assert_eq!(found(nowhere, false, false), MemberOutcome::Unknown);
    }

    #[test]
    fn all_are_done_when_as_many_are_counted_and_nobody_is_known_to_be_otherwise() {
        let at: Settings = toml::from_str("user = { id = \"/data/count\" }").unwrap();
        let at = at.user.id.unwrap();
        let told = [Told::new(), Told::new()];
        let sent: Vec<_> = [1, 2].map(UserKey).into_iter().zip(&told).collect();
        for (count, done) in [
            (json!(2), true),
            (json!("2"), true),
            (json!(1), false),
            (json!(0), false),
            (json!(3), false),
            (json!(-2), false),
            (json!(null), false),
            (json!([1, 2]), false),
            (json!("two"), false),
        ] {
            let found = counted(&json!({ "data": { "count": count } }), &at, &sent);
            let is = if done {
                MemberOutcome::Applied
            } else {
                MemberOutcome::Unknown
            };
            assert_eq!(found, [1, 2].map(|n| (UserKey(n), is.clone())), "{count}");
        }
        let found = counted(&json!({}), &at, &sent);
        assert!(found.iter().all(|it| it.1 == MemberOutcome::Unknown));
    }

    #[test]
    fn failures_that_name_nobody_are_not_understood() {
        let list = json!(["cY", { "id": "B" }]);
        assert_eq!(done(&list, false, None), [true, false, false]);
        for none in [json!(null), json!([])] {
            assert_eq!(done(&none, false, None), [true; 3], "{none}");
        }
        for odd in [
            json!([{ "userId": "B", "reason": "no seat left" }]),
            json!([{ "id": "B" }, "somebody else"]),
            json!({ "B": "no seat left" }),
            json!("no seat left"),
            json!(1),
            json!(true),
        ] {
            assert_eq!(done(&odd, false, None), [false; 3], "{odd}");
        }
    }

    #[test]
    fn the_id_of_one_is_not_taken_for_the_name_of_another() {
        let list = json!([501]);
        assert_eq!(done(&list, true, Some(Plain::Id)), [true, false, false]);
        assert_eq!(
            done(&list, true, Some(Plain::Account)),
            [false, true, false]
        );
        assert_eq!(done(&list, true, None), [false; 3], "nobody says which");
        assert_eq!(done(&list, false, None), [false; 3]);
        assert_eq!(
            done(&json!(["b"]), true, Some(Plain::Id)),
            [false; 3],
            "ids mind case"
        );
    }
}
