//! The site roles of an application as the guard sees them: what counts is
//! whether somebody can do less afterwards. A role that is in no order with the
//! one before can do something less.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of an application's roles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roles {
    /// Of whom no role is said.
    pub plain: Option<String>,
    /// By a role, all that can do no more than it.
    pub beneath: BTreeMap<String, BTreeSet<String>>,
}

impl Roles {
    /// From the plain role and each role with those beneath it.
    pub fn new(plain: Option<&str>, order: &[(&str, &[&str])]) -> Self {
        let set = |roles: &[&str]| roles.iter().map(|role| (*role).to_owned()).collect();
        let of = |(role, beneath): &(&str, &[&str])| ((*role).to_owned(), set(beneath));
        Self {
            plain: plain.map(str::to_owned),
            beneath: order.iter().map(of).collect(),
        }
    }

    /// Whether something is taken away by giving the second role for the first.
    pub fn lowers(&self, from: Option<&str>, to: Option<&str>) -> bool {
        let plain = self.plain.as_deref();
        let (Some(from), Some(to)) = (from.or(plain), to.or(plain)) else {
            return false;
        };
        let beneath = self.beneath.get(to);
        from != to && !beneath.is_some_and(|roles| roles.contains(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_lowered_where_not_everything_stays_possible() {
        let order: [(&str, &[&str]); 3] = [
            ("boss", &["user", "guest", "clerk"]),
            ("user", &["guest"]),
            ("clerk", &["guest"]),
        ];
        let roles = Roles::new(Some("user"), &order);
        for (from, to) in [
            (Some("boss"), Some("user")),
            (Some("boss"), None),
            (None, Some("guest")),
            (Some("user"), Some("clerk")),
            (Some("user"), Some("of the future")),
        ] {
            assert!(roles.lowers(from, to), "{from:?} {to:?}");
        }
        for (from, to) in [
            (None, None),
            (None, Some("user")),
            (None, Some("boss")),
            (Some("guest"), None),
            (Some("clerk"), Some("boss")),
        ] {
            assert!(!roles.lowers(from, to), "{from:?} {to:?}");
        }
        assert!(!Roles::default().lowers(None, Some("guest")), "it has none");
    }
}
