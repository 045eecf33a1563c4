//! A TOML value as serde reads it: one reader for every table, list and value.
//!
//! The `toml` crate's own has a type for each of them, and every type of the
//! configuration would be compiled once for each. Values are borrowed, so that
//! a table can be read again after a faulty entry was taken out of it. A fault
//! has the place of the innermost key or value that it is about.

use std::{borrow::Cow, fmt::Display, ops::Range};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, Error as _, IntoDeserializer, Unexpected, Visitor, value},
    forward_to_deserialize_any,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// What does not fit, in serde's words, and where (bytes of the text).
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) span: Option<Range<usize>>,
}

impl Fault {
    fn at(mut self, span: &Range<usize>) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }
}

impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            span: None,
        }
    }
}

/// What a [`Value`] can be: a table that is the file, a value of a table or
/// list, or what `Spanned` asks for beside it.
#[derive(Clone, Copy)]
enum What<'t, 'i> {
    Table(&'t DeTable<'i>),
    Value(&'t DeValue<'i>),
    Offset(usize),
}

/// One value and where it stands.
pub(super) struct Value<'t, 'i> {
    what: What<'t, 'i>,
    span: Range<usize>,
}

impl<'t, 'i> From<&'t Spanned<DeTable<'i>>> for Value<'t, 'i> {
    fn from(table: &'t Spanned<DeTable<'i>>) -> Self {
        Self {
            what: What::Table(table.get_ref()),
            span: table.span(),
        }
    }
}

impl<'t, 'i> From<&'t Spanned<DeValue<'i>>> for Value<'t, 'i> {
    fn from(value: &'t Spanned<DeValue<'i>>) -> Self {
        Self {
            what: What::Value(value.get_ref()),
            span: value.span(),
        }
    }
}

impl<'t> Value<'t, '_> {
    fn visit<V: Visitor<'t>>(&self, visitor: V) -> Result<V::Value, Fault> {
        let value = match self.what {
            What::Table(table) => return visitor.visit_map(Entries::of(table)),
            What::Offset(offset) => {
                return visitor.visit_u64(u64::try_from(offset).unwrap_or(u64::MAX));
            }
            What::Value(value) => value,
        };
        match value {
            DeValue::Table(table) => visitor.visit_map(Entries::of(table)),
            DeValue::Array(items) => visitor.visit_seq(Items(items.iter())),
            DeValue::String(text) => visitor.visit_borrowed_str(text),
            DeValue::Boolean(yes) => visitor.visit_bool(*yes),
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Fault::custom("the number is too large")),
            },
            DeValue::Integer(number) => {
                let (text, radix) = (number.as_str(), number.radix());
                if let Ok(number) = i64::from_str_radix(text, radix) {
                    visitor.visit_i64(number)
                } else if let Ok(number) = u64::from_str_radix(text, radix) {
                    visitor.visit_u64(number)
                } else {
                    Err(Fault::custom("the number is too large"))
                }
            }
            DeValue::Datetime(_) => Err(Fault::invalid_type(
                Unexpected::Other("a date or time"),
                &visitor,
            )),
        }
    }
}

impl<'t> Deserializer<'t> for Value<'t, '_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit(visitor).map_err(|fault| fault.at(&self.span))
    }

    /// A key that is there has a value; TOML has no null.
    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match fields {
            [start, end, value] if serde_spanned::de::is_spanned(name) => {
                visitor.visit_map(Entries::around(self, [start, end, value]))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    /// A word stands for a variant without content, a table with one key for
    /// one with content.
    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let read = match self.what {
            What::Value(DeValue::String(word)) => {
                let word: &str = word;
                visitor.visit_enum(word.into_deserializer())
            }
            What::Value(DeValue::Table(table)) | What::Table(table) => {
                visitor.visit_enum(value::MapAccessDeserializer::new(Entries::of(table)))
            }
            _ => Err(Fault::custom("a word or a table belongs here")),
        };
        read.map_err(|fault: Fault| fault.at(&self.span))
    }

    forward_to_deserialize_any! {
        <W: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string
        bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// The entries of a table, or the three that `Spanned` asks for.
struct Entries<'t, 'i> {
    rest: Rest<'t, 'i>,
    value: Option<Value<'t, 'i>>,
}

enum Rest<'t, 'i> {
    Table(toml::map::Iter<'t, Spanned<Cow<'i, str>>, Spanned<DeValue<'i>>>),
    Around(std::array::IntoIter<(&'static str, Value<'t, 'i>), 3>),
}

impl<'t, 'i> Entries<'t, 'i> {
    fn of(table: &'t DeTable<'i>) -> Self {
        Self {
            rest: Rest::Table(table.iter()),
            value: None,
        }
    }

    fn around(value: Value<'t, 'i>, [start, end, inner]: [&'static str; 3]) -> Self {
        let offset = |at| Value {
            what: What::Offset(at),
            span: value.span.clone(),
        };
        let around = [
            (start, offset(value.span.start)),
            (end, offset(value.span.end)),
            (inner, value),
        ];
        Self {
            rest: Rest::Around(around.into_iter()),
            value: None,
        }
    }
}

impl<'t> de::MapAccess<'t> for Entries<'t, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'t>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let (key, span, value) = match &mut self.rest {
            Rest::Table(entries) => match entries.next() {
                Some((key, value)) => (key.get_ref().as_ref(), key.span(), Value::from(value)),
                None => return Ok(None),
            },
            Rest::Around(entries) => match entries.next() {
                Some((key, value)) => (key, value.span.clone(), value),
                None => return Ok(None),
            },
        };
        self.value = Some(value);
        let key = value::BorrowedStrDeserializer::new(key);
        let key = seed
            .deserialize(key)
            .map_err(|fault: Fault| fault.at(&span))?;
        Ok(Some(key))
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        match self.value.take() {
            Some(value) => deserialized(value, seed),
            None => Err(Fault::custom("a key without its value")),
        }
    }
}

fn deserialized<'t, S: DeserializeSeed<'t>>(
    value: Value<'t, '_>,
    seed: S,
) -> Result<S::Value, Fault> {
    let span = value.span.clone();
    seed.deserialize(value).map_err(|fault| fault.at(&span))
}

/// The items of a list.
struct Items<'t, 'i>(std::slice::Iter<'t, Spanned<DeValue<'i>>>);

impl<'t> de::SeqAccess<'t> for Items<'t, '_> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'t>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let item = self.0.next().map(Value::from);
        item.map(|item| deserialized(item, seed)).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
