//! Random resources, and random questions about them as trees, with the many
//! ways to write one down.
use serde_json::{Map, Value, json};

use super::{APP, ResourceType};
use crate::scim::schema::ENTERPRISE;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folded,
    Exact,
    Flag,
    Number,
    Moment,
}

/// What can be asked about, by its place in the JSON that is served.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) extension: Option<&'static str>,
    pub(super) attribute: &'static str,
    pub(super) sub: Option<&'static str>,
    pub(super) kind: Kind,
}

const fn place(attribute: &'static str, sub: Option<&'static str>, kind: Kind) -> Place {
    Place {
        extension: None,
        attribute,
        sub,
        kind,
    }
}

const fn beyond(extension: &'static str, attribute: &'static str, kind: Kind) -> Place {
    Place {
        extension: Some(extension),
        attribute,
        sub: None,
        kind,
    }
}

const BOTH: &[Place] = &[
    place("id", None, Kind::Exact),
    place("externalId", None, Kind::Exact),
    place("displayName", None, Kind::Folded),
    place("meta", Some("created"), Kind::Moment),
    place("meta", Some("lastModified"), Kind::Moment),
    place("meta", Some("resourceType"), Kind::Exact),
    place("meta", Some("version"), Kind::Exact),
    place("schemas", None, Kind::Exact),
];
const OF_USERS: &[Place] = &[
    place("userName", None, Kind::Folded),
    place("userName", None, Kind::Folded),
    place("title", None, Kind::Folded),
    place("nickName", None, Kind::Folded),
    place("active", None, Kind::Flag),
    place("name", Some("familyName"), Kind::Folded),
    place("name", Some("givenName"), Kind::Folded),
    place("emails", Some("value"), Kind::Folded),
    place("emails", Some("value"), Kind::Folded),
    place("emails", Some("type"), Kind::Folded),
    place("emails", Some("primary"), Kind::Flag),
    place("groups", Some("value"), Kind::Folded),
    place("groups", Some("display"), Kind::Folded),
    place("groups", Some("type"), Kind::Folded),
    beyond(ENTERPRISE, "department", Kind::Folded),
    Place {
        extension: Some(ENTERPRISE),
        attribute: "manager",
        sub: Some("value"),
        kind: Kind::Exact,
    },
    beyond(APP, "seats", Kind::Number),
    beyond(APP, "ratio", Kind::Number),
    beyond(APP, "since", Kind::Moment),
    beyond(APP, "tags", Kind::Folded),
    beyond(APP, "homepage", Kind::Exact),
    beyond(APP, "trial", Kind::Flag),
];
const OF_GROUPS: &[Place] = &[
    place("displayName", None, Kind::Folded),
    place("members", Some("value"), Kind::Folded),
    place("members", Some("value"), Kind::Folded),
    place("members", Some("type"), Kind::Folded),
];
/// Those with brackets, and what may stand in them.
const EACH: &[(ResourceType, &str, &[&str])] = &[
    (ResourceType::User, "emails", &["value", "type", "primary"]),
    (ResourceType::User, "groups", &["value", "display", "type"]),
    (ResourceType::User, "name", &["familyName", "givenName"]),
    (ResourceType::Group, "members", &["value", "type"]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Debug, Clone)]
pub(super) enum Question {
    All(Vec<Question>),
    Any(Vec<Question>),
    Not(Box<Question>),
    Present(Place),
    /// `null` is asked by an absent value.
    Is(Place, Op, Value),
    /// The places inside are sub-attributes.
    Each(&'static str, Box<Question>),
}

impl Question {
    pub(super) fn random(dice: &mut Dice, of: ResourceType, world: &[Value]) -> Self {
        Self::deep(dice, 3, &mut |dice| Self::leaf(dice, of, world))
    }

    fn deep(dice: &mut Dice, depth: usize, leaf: &mut dyn FnMut(&mut Dice) -> Self) -> Self {
        if depth == 0 || dice.below(10) < 4 {
            return leaf(dice);
        }
        let kind = dice.below(5);
        if kind == 0 {
            return Self::Not(Box::new(Self::deep(dice, depth - 1, leaf)));
        }
        let count = 2 + dice.below(2);
        let mut parts = Vec::new();
        for _ in 0..count {
            parts.push(Self::deep(dice, depth - 1, leaf));
        }
        match kind {
            1 | 2 => Self::All(parts),
            _ => Self::Any(parts),
        }
    }

    fn leaf(dice: &mut Dice, of: ResourceType, world: &[Value]) -> Self {
        if dice.below(4) == 0 {
            let of_type: Vec<_> = EACH.iter().filter(|(each, ..)| *each == of).collect();
            let (_, attribute, subs) = of_type[dice.below(of_type.len())];
            let inner = Self::deep(dice, 2, &mut |dice| {
                let sub = subs[dice.below(subs.len())];
                let outer = places(of).find(|p| p.attribute == *attribute && p.sub == Some(sub));
                let outer = outer.expect("a place");
                Self::about(dice, outer, world, place(sub, None, outer.kind))
            });
            return Self::Each(attribute, Box::new(inner));
        }
        let places: Vec<Place> = places(of).collect();
        let place = places[dice.below(places.len())];
        Self::about(dice, place, world, place)
    }

    /// A question about `as_written` with a value that `place` has somewhere.
    fn about(dice: &mut Dice, place: Place, world: &[Value], as_written: Place) -> Self {
        if dice.below(8) == 0 {
            return Self::Present(as_written);
        }
        let ops: &[Op] = match place.kind {
            Kind::Folded | Kind::Exact => &[
                Op::Eq,
                Op::Eq,
                Op::Eq,
                Op::Eq,
                Op::Ne,
                Op::Co,
                Op::Sw,
                Op::Ew,
                Op::Gt,
                Op::Ge,
                Op::Lt,
                Op::Le,
            ],
            Kind::Flag => &[Op::Eq, Op::Ne],
            Kind::Number | Kind::Moment => &[Op::Eq, Op::Ne, Op::Gt, Op::Ge, Op::Lt, Op::Le],
        };
        let op = ops[dice.below(ops.len())];
        if dice.below(20) == 0 {
            let op = dice.either(Op::Eq, Op::Ne, 2);
            return Self::Is(as_written, op, Value::Null);
        }
        let value = dice.value_of(place, world);
        let value = match (place.kind, value) {
            (Kind::Folded | Kind::Exact, Value::String(text)) => dice.varied(op, &text).into(),
            (Kind::Number, Value::Number(number)) if dice.below(3) == 0 => {
                json!(number.as_f64().expect("a number") + 0.25)
            }
            (_, value) => value,
        };
        Self::Is(as_written, op, value)
    }

    pub(super) fn written(&self, dice: &mut Dice) -> String {
        match self {
            Self::All(parts) => joined(dice, parts, "and"),
            Self::Any(parts) => joined(dice, parts, "or"),
            Self::Not(part) => format!("{} ({})", dice.cased("not"), part.written(dice)),
            Self::Present(place) => format!("{} {}", place.written(dice), dice.cased("pr")),
            Self::Each(attribute, inner) => {
                format!("{}[{}]", dice.cased(attribute), inner.written(dice))
            }
            Self::Is(place, op, value) => {
                let op = format!("{op:?}").to_lowercase();
                let value = dice.spelled(place.kind, value);
                format!("{} {} {value}", place.written(dice), dice.cased(&op))
            }
        }
    }
}

/// Parentheses where precedence asks for them, and sometimes where it does not.
fn joined(dice: &mut Dice, parts: &[Question], word: &str) -> String {
    let mut texts = Vec::new();
    for part in parts {
        let text = part.written(dice);
        let needed = word == "and" && matches!(part, Question::Any(_));
        let bare = !needed && dice.below(4) > 0;
        texts.push(if bare { text } else { format!("({text})") });
    }
    texts.join(&format!(" {} ", dice.cased(word)))
}

impl Place {
    fn written(self, dice: &mut Dice) -> String {
        let name = match self.sub {
            // A complex attribute is compared by its value.
            Some("value") if dice.below(4) == 0 && self.attribute != "name" => {
                self.attribute.to_owned()
            }
            Some(sub) => format!("{}.{sub}", self.attribute),
            None => self.attribute.to_owned(),
        };
        let name = dice.cased(&name);
        match self.extension {
            Some(urn) if dice.below(3) > 0 => format!("{}:{name}", dice.cased(urn)),
            _ => name,
        }
    }
}

fn places(of: ResourceType) -> impl Iterator<Item = Place> {
    let own = match of {
        ResourceType::User => OF_USERS,
        ResourceType::Group => OF_GROUPS,
    };
    own.iter().chain(BOTH).copied()
}

/// Reproducible randomness (xorshift).
pub(super) struct Dice(u64);

const WORDS: [&str; 14] = [
    "Ann", "ann", "BOB", "Straße", "MÜLLER", "müller", "ΟΔΟΣ", "οδος", "a\"b", "c\\d", "日本",
    "x (y)", "and or", "İx",
];

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("small");
        usize::try_from((self.next() >> 11) % bound).expect("small")
    }

    /// The first, or once in so many times the second.
    pub(super) fn either<T>(&mut self, usual: T, rare: T, once_in: usize) -> T {
        if self.below(once_in) == 0 {
            rare
        } else {
            usual
        }
    }

    /// Some distinct numbers below a bound, in order.
    pub(super) fn some(&mut self, bound: usize, most: usize) -> Vec<usize> {
        let count = self.below(most + 1);
        let mut numbers: Vec<usize> = (0..count).map(|_| self.below(bound)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    pub(super) fn moment(&mut self) -> i64 {
        1_700_000_000_000 + i64::try_from(self.below(50)).expect("small") * 1_800_250
    }

    fn word(&mut self) -> String {
        WORDS[self.below(WORDS.len())].to_owned()
    }

    pub(super) fn user(&mut self, n: usize) -> Map<String, Value> {
        let mut user = Map::new();
        user.insert(
            "userName".into(),
            format!("{}{n}@Example.com", self.word()).into(),
        );
        for name in ["displayName", "title", "nickName"] {
            if self.below(3) > 0 {
                user.insert(name.into(), self.word().into());
            }
        }
        if self.below(2) == 0 {
            user.insert(
                "externalId".into(),
                format!("{}-{n}", self.either("Ext", "ext", 2)).into(),
            );
        }
        if self.below(4) > 0 {
            user.insert("active".into(), (self.below(2) == 0).into());
        }
        if self.below(3) > 0 {
            user.insert("name".into(), json!({"familyName": self.word()}));
        }
        let emails: Vec<Value> = (0..self.below(4)).map(|_| self.email()).collect();
        if !emails.is_empty() {
            user.insert("emails".into(), emails.into());
        }
        if self.below(2) == 0 {
            let manager = json!({"value": self.word()});
            user.insert(
                ENTERPRISE.into(),
                json!({"department": self.word(), "manager": manager}),
            );
        }
        if self.below(3) > 0 {
            user.insert(APP.into(), self.app().into());
        }
        user
    }

    fn email(&mut self) -> Value {
        let mut email = Map::new();
        let local = self.either("Info", "info", 2);
        email.insert(
            "value".into(),
            format!("{local}{}@x.org", self.below(40)).into(),
        );
        if self.below(3) > 0 {
            email.insert("type".into(), self.either("work", "home", 2).into());
        }
        if self.below(3) == 0 {
            email.insert("primary".into(), (self.below(2) == 0).into());
        }
        email.into()
    }

    fn app(&mut self) -> Map<String, Value> {
        let quarter =
            |dice: &mut Self| f64::from(u8::try_from(dice.below(40)).expect("small")) / 4.0;
        let mut app = Map::new();
        let seats = [9_007_199_254_740_993_i64, -3, 2, 3, 4][self.below(5)];
        app.insert("seats".into(), seats.into());
        app.insert("ratio".into(), json!(quarter(self)));
        app.insert("trial".into(), (self.below(2) == 0).into());
        let since = self.moment();
        app.insert("since".into(), self.date(since).into());
        if self.below(2) == 0 {
            app.insert("tags".into(), json!([self.word(), self.word()]));
            app.insert(
                "homepage".into(),
                format!("https://x.org/{}", self.word()).into(),
            );
        }
        app
    }

    pub(super) fn group(&mut self, n: usize) -> Map<String, Value> {
        let mut group = Map::new();
        group.insert("displayName".into(), format!("{} {n}", self.word()).into());
        if self.below(2) == 0 {
            group.insert(
                "externalId".into(),
                format!("{}-{n}", self.either("Grp", "grp", 2)).into(),
            );
        }
        group
    }

    /// A value that one of the resources has there, or any.
    fn value_of(&mut self, place: Place, world: &[Value]) -> Value {
        for _ in 0..20 {
            let resource = &world[self.below(world.len())];
            let values = super::naive::values(&place, resource);
            if !values.is_empty() {
                return values[self.below(values.len())].clone();
            }
        }
        match place.kind {
            Kind::Folded | Kind::Exact => self.word().into(),
            Kind::Flag => true.into(),
            Kind::Number => 3.into(),
            Kind::Moment => self.date(1_700_000_000_000).into(),
        }
    }

    /// The text, a part of it, in another letter case, or nothing like it.
    fn varied(&mut self, op: Op, text: &str) -> String {
        let letters: Vec<char> = text.chars().collect();
        let cut = self.below(letters.len() + 1);
        let text: String = match op {
            Op::Sw => letters[..cut].iter().collect(),
            Op::Ew => letters[cut..].iter().collect(),
            Op::Co => letters[cut / 2..cut].iter().collect(),
            _ if self.below(10) == 0 => self.word(),
            _ => text.to_owned(),
        };
        match self.below(4) {
            0 => text.to_uppercase(),
            1 => text.to_lowercase(),
            _ => text,
        }
    }

    fn cased(&mut self, word: &str) -> String {
        match self.below(6) {
            0 => word.to_uppercase(),
            1 => word.to_lowercase(),
            _ => word.to_owned(),
        }
    }

    /// A value as a literal.
    fn spelled(&mut self, kind: Kind, value: &Value) -> String {
        match (kind, value) {
            (Kind::Flag, Value::Bool(flag)) if self.below(4) == 0 => {
                format!("\"{}\"", self.cased(&flag.to_string()))
            }
            (Kind::Moment, Value::String(text)) => {
                let at = super::naive::millis(text);
                format!("\"{}\"", self.date(at))
            }
            (Kind::Number, Value::Number(number)) if number.is_i64() && self.below(3) == 0 => {
                let spelled = format!("{number}.0");
                // Beyond 2^53 a fraction would round it.
                if spelled.len() > 17 {
                    number.to_string()
                } else {
                    spelled
                }
            }
            (_, Value::String(text)) if self.below(5) == 0 => {
                let escaped = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                format!("\"{}\"", escaped.collect::<String>())
            }
            (_, value) => value.to_string(),
        }
    }

    /// A moment in one of its spellings.
    fn date(&mut self, millis: i64) -> String {
        let minutes = [0, 90, -480, 0][self.below(4)];
        let zone = match minutes {
            0 => "Z".to_owned(),
            90 => "+01:30".to_owned(),
            _ => "-08:00".to_owned(),
        };
        let moved = jiff::Timestamp::from_millisecond(millis + minutes * 60_000).expect("a time");
        let text = format!("{moved:.3}");
        let text = text.trim_end_matches('Z');
        let text = match self.below(2) {
            0 => text.trim_end_matches(".000"),
            _ => text,
        };
        format!("{text}{zone}")
    }
}
