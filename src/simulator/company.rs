//! A believable company to start with: the same one every time, at a domain
//! that belongs to nobody (RFC 2606).

use serde::{Deserialize, Serialize};

/// What is there before the first call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Company {
    pub users: Vec<Employee>,
    pub groups: Vec<Team>,
}

/// A user and, where `person` says so, its People record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Employee {
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub title: String,
    pub location: String,
    pub division: String,
    pub department: String,
    pub team: String,
    pub site_role: String,
    pub active: bool,
    /// Owns assets, so it cannot be deactivated.
    pub owner: bool,
    pub person: bool,
}

impl Default for Employee {
    fn default() -> Self {
        Self {
            email: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            title: String::new(),
            location: String::new(),
            division: String::new(),
            department: String::new(),
            team: String::new(),
            site_role: "Users".into(),
            active: true,
            owner: false,
            person: false,
        }
    }
}

/// A group, its members by e-mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Team {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub synced: bool,
    pub members: Vec<String>,
    /// Groups inside it, where the application has such.
    pub nested: Vec<String>,
    /// Of Snyk, against its contract: also who has a role of the group already gets
    /// this one, as a second membership.
    pub besides: bool,
}

impl Default for Team {
    fn default() -> Self {
        Self {
            name: String::new(),
            kind: "user".into(),
            synced: false,
            members: Vec::new(),
            nested: Vec::new(),
            besides: false,
        }
    }
}

const FIRST_NAMES: [&str; 48] = [
    "Amara", "Anders", "Aisha", "Bruno", "Beatriz", "Callum", "Chiara", "Daniel", "Deepa", "Elif",
    "Emil", "Farah", "Felix", "Grace", "Gustavo", "Hana", "Hugo", "Ines", "Ivan", "Jasmin",
    "Jonas", "Kaito", "Katarina", "Leila", "Lukas", "Mateo", "Mei", "Nadia", "Noah", "Olga",
    "Omar", "Petra", "Priya", "Quentin", "Rafael", "Rosa", "Samir", "Sofia", "Tariq", "Tessa",
    "Uma", "Viktor", "Wanda", "Xenia", "Yusuf", "Yara", "Zoe", "Zoltan",
];
const LAST_NAMES: [&str; 53] = [
    "Abbott",
    "Adeyemi",
    "Almeida",
    "Bauer",
    "Bianchi",
    "Brandt",
    "Castillo",
    "Chen",
    "Costa",
    "Dahl",
    "Demir",
    "Dubois",
    "Eriksen",
    "Evans",
    "Farkas",
    "Fischer",
    "Garcia",
    "Greco",
    "Haas",
    "Haddad",
    "Hoffmann",
    "Ibrahim",
    "Ivanova",
    "Jansen",
    "Jensen",
    "Kaur",
    "Keller",
    "Kim",
    "Kovacs",
    "Larsen",
    "Lindqvist",
    "Lopez",
    "Marino",
    "Mensah",
    "Moreau",
    "Nakamura",
    "Novak",
    "Okafor",
    "Olsen",
    "Patel",
    "Petrov",
    "Quinn",
    "Rossi",
    "Santos",
    "Schneider",
    "Silva",
    "Singh",
    "Tanaka",
    "Thompson",
    "Ueda",
    "Vargas",
    "Weber",
    "Yilmaz",
];
/// Division, department, team, group and its title, with the share of people.
const TEAMS: [(&str, &str, &str, &str, &str, usize); 8] = [
    (
        "Engineering",
        "Platform",
        "Core",
        "platform-engineers",
        "Platform Engineer",
        6,
    ),
    (
        "Engineering",
        "Applications",
        "Web",
        "web-developers",
        "Software Engineer",
        7,
    ),
    (
        "Engineering",
        "Quality",
        "Release",
        "quality-team",
        "Quality Engineer",
        3,
    ),
    (
        "Operations",
        "Reliability",
        "On call",
        "site-reliability",
        "Reliability Engineer",
        4,
    ),
    (
        "Security",
        "Product Security",
        "Response",
        "security-team",
        "Security Analyst",
        2,
    ),
    (
        "Finance",
        "Controlling",
        "Reporting",
        "finance",
        "Controller",
        2,
    ),
    (
        "People",
        "Talent",
        "Partners",
        "people-partners",
        "People Partner",
        2,
    ),
    (
        "Sales",
        "Field",
        "Accounts",
        "account-managers",
        "Account Manager",
        4,
    ),
];
const LOCATIONS: [&str; 5] = ["Lisbon", "Berlin", "Toronto", "Singapore", "Austin"];

impl Company {
    /// Some three hundred people and a dozen groups, among them one that
    /// another directory keeps, one that is no user group, and one whose name
    /// is older than today's naming rule.
    pub fn example() -> Self {
        Self::of_size(300)
    }

    /// The same with a group that holds others, for an application that knows
    /// who is in a group through another one.
    pub fn nested() -> Self {
        let mut company = Self::example();
        let inside = ["platform-engineers", "web-developers", "quality-team"];
        let leads = company.users.iter().step_by(40);
        company.groups.push(Team {
            name: "All of Engineering".into(),
            members: leads.map(|user| user.email.clone()).collect(),
            nested: inside.map(str::to_owned).into(),
            ..Team::default()
        });
        company
    }

    /// Two Snyk Groups: a team is one role in the group of its name. One person
    /// in five has never been let into one.
    pub fn roles() -> Self {
        let users: Vec<Employee> = (0..300).map(employee).collect();
        let team = |name: &str, kind: &str, choose: &dyn Fn(usize) -> bool| Team {
            name: name.into(),
            kind: kind.into(),
            members: (0..)
                .zip(&users)
                .filter(|(n, _)| choose(*n))
                .map(|(_, user)| user.email.clone())
                .collect(),
            ..Team::default()
        };
        let groups = vec![
            team("Example Inc.", "group_admin", &|n| n % 100 == 0),
            team("Example Inc.", "group_viewer", &|n| n % 10 == 3),
            team("Example Inc.", "group_member", &|n| n % 5 != 4),
            team("Example Labs", "group_admin", &|n| n == 1),
            team("Example Labs", "group_member", &|n| n % 20 == 2),
        ];
        Self { users, groups }
    }

    /// One Snyk Group with somebody in each role, and nobody else: what is there
    /// when the bridge comes, which cannot make any.
    pub fn administered() -> Self {
        let user = |name: &str| Employee {
            email: format!("{name}@example.com"),
            first_name: name.into(),
            ..Employee::default()
        };
        let roles = ["group_admin", "group_viewer", "group_member"];
        let team = |kind: &str| Team {
            name: "Example Inc.".into(),
            kind: kind.into(),
            members: vec![format!("{}@example.com", kind.replace('_', "-"))],
            ..Team::default()
        };
        Self {
            users: roles.map(|role| user(&role.replace('_', "-"))).into(),
            groups: roles.map(team).into(),
        }
    }

    /// Nobody and nothing.
    pub fn empty() -> Self {
        Self::default()
    }

    /// As many people as asked for.
    pub fn of_size(people: usize) -> Self {
        let users: Vec<Employee> = (0..people).map(employee).collect();
        let emails = |choose: &dyn Fn(usize, &Employee) -> bool| -> Vec<String> {
            users
                .iter()
                .enumerate()
                .filter(|(n, user)| choose(*n, user))
                .map(|(_, user)| user.email.clone())
                .collect()
        };
        let team = |name: &str, members| Team {
            name: name.into(),
            members,
            ..Team::default()
        };
        let mut groups: Vec<Team> = TEAMS
            .iter()
            .map(|(_, department, _, name, _, _)| {
                team(name, emails(&|_, user| user.department == *department))
            })
            .collect();
        groups.push(team("incident-commanders", emails(&|n, _| n % 25 == 3)));
        groups.push(team("Data Platform Guild", emails(&|n, _| n % 17 == 5)));
        groups.push(Team {
            synced: true,
            ..team("all-lisbon", emails(&|_, user| user.location == "Lisbon"))
        });
        groups.push(Team {
            kind: "role".into(),
            ..team("pipeline-approvers", emails(&|n, _| n % 30 == 7))
        });
        Self { users, groups }
    }
}

fn employee(n: usize) -> Employee {
    // Both lists have lengths without a common factor, so all pairs come up
    // before one comes again.
    let first = FIRST_NAMES[n % FIRST_NAMES.len()];
    let last = LAST_NAMES[n % LAST_NAMES.len()];
    let round = n / (FIRST_NAMES.len() * LAST_NAMES.len());
    let suffix = match round {
        0 => String::new(),
        round => (round + 1).to_string(),
    };
    let shares: usize = TEAMS.iter().map(|team| team.5).sum();
    let mut place = n % shares;
    let mut chosen = &TEAMS[0];
    for team in &TEAMS {
        chosen = team;
        if place < team.5 {
            break;
        }
        place -= team.5;
    }
    let (division, department, team, _, title, _) = *chosen;
    Employee {
        email: format!(
            "{}.{}{suffix}@example.com",
            first.to_lowercase(),
            last.to_lowercase()
        ),
        first_name: first.into(),
        last_name: last.into(),
        title: title.into(),
        location: LOCATIONS[n % LOCATIONS.len()].into(),
        division: division.into(),
        department: department.into(),
        team: team.into(),
        site_role: match n % 50 {
            0 => "Administrators",
            10 | 35 => "PowerUsers",
            20 => "Auditors",
            40 => "SecurityManagers",
            _ => "Users",
        }
        .into(),
        active: n % 61 != 60,
        owner: n % 90 == 45,
        person: n % 10 != 9,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn everybody_has_an_address_of_their_own() {
        for size in [300, 6_000] {
            let company = Company::of_size(size);
            let emails: HashSet<_> = company.users.iter().map(|user| &user.email).collect();
            assert_eq!(emails.len(), size);
            assert!(emails.iter().all(|email| email.ends_with("@example.com")));
        }
    }

    #[test]
    fn every_group_has_members() {
        let company = Company::example();
        assert_eq!(company.groups.len(), 12);
        assert!(company.groups.iter().all(|group| group.members.len() > 3));
    }
}
