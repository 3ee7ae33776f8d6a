//! Attributes that were changed since the domain began, and whom the changed values name.
//!
//! The tree stays as it was founded; what differs lies over it. While nobody has changed one, it costs a look at a flag.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use super::attributes::Attribute;
use super::fold::fold;
use super::object::{Object, ObjectId};
use super::tree::Key;

/// What was changed of all objects.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    is_used: AtomicBool,
    changes: RwLock<Changes>,
}

#[derive(Debug, Default, Clone)]
struct Changes {
    objects: HashMap<ObjectId, BTreeMap<&'static str, Attribute>>,
    by_value: HashMap<(Key, String), Vec<ObjectId>>,
}

/// The attribute whose values a key looks up, where it can be changed.
fn attribute_of(key: Key) -> Option<&'static str> {
    match key {
        Key::Sam => Some("sAMAccountName"),
        Key::Upn => Some("userPrincipalName"),
        Key::Mail => Some("mail"),
        Key::DisplayName => Some("displayName"),
        Key::Spn => Some("servicePrincipalName"),
        Key::Name => None,
    }
}

const LOOKED_UP: [Key; 5] = [Key::Sam, Key::Upn, Key::Mail, Key::DisplayName, Key::Spn];

impl Overlay {
    /// The object with its changes.
    pub(super) fn over<'a>(&self, id: ObjectId, object: Cow<'a, Object>) -> Cow<'a, Object> {
        if !self.is_used.load(Ordering::Acquire) {
            return object;
        }
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let Some(own) = changes.objects.get(&id) else {
            return object;
        };
        let mut object = object.into_owned();
        for (name, attribute) in own {
            let first = || attribute.shown().next();
            match *name {
                "sAMAccountName" => object.sam = first(),
                "userPrincipalName" => object.upn = first(),
                name => {
                    object.attributes.retain(|known| known.name != name);
                    object
                        .attributes
                        .extend(Some(attribute).filter(|new| !new.values.is_empty()).cloned());
                }
            }
        }
        Cow::Owned(object)
    }

    /// Those who have a value, out of `founded`, who had it when the domain began, and those who got it since.
    pub(super) fn find(&self, key: Key, value: &str, mut founded: Vec<ObjectId>) -> Vec<ObjectId> {
        let Some(name) = attribute_of(key).filter(|_| self.is_used.load(Ordering::Acquire)) else {
            return founded;
        };
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let is_changed = |id: &ObjectId| changes.objects.get(id).is_some_and(|own| own.contains_key(name));
        founded.retain(|id| !is_changed(id));
        founded.extend(changes.by_value.get(&(key, fold(value))).into_iter().flatten());
        founded
    }

    /// Gives an object these attributes; one without values is taken away.
    pub(super) fn write(&self, id: ObjectId, attributes: Vec<Attribute>) {
        if attributes.is_empty() {
            return;
        }
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        let Changes { objects, by_value } = &mut *changes;
        let own = objects.entry(id).or_default();
        for attribute in attributes {
            let key = LOOKED_UP
                .into_iter()
                .find(|key| attribute_of(*key) == Some(attribute.name));
            let values = |attribute: &Attribute| attribute.shown().map(|value| fold(&value)).collect::<Vec<_>>();
            if let Some(key) = key {
                for value in own.get(attribute.name).map(values).unwrap_or_default() {
                    if let Entry::Occupied(mut place) = by_value.entry((key, value)) {
                        place.get_mut().retain(|other| *other != id);
                        if place.get().is_empty() {
                            place.remove();
                        }
                    }
                }
                for value in values(&attribute) {
                    by_value.entry((key, value)).or_default().push(id);
                }
            }
            own.insert(attribute.name, attribute);
        }
        self.is_used.store(true, Ordering::Release);
    }

    /// All that was changed, by object.
    pub(super) fn all(&self) -> Vec<(ObjectId, Vec<Attribute>)> {
        let changes = self.changes.read().unwrap_or_else(PoisonError::into_inner);
        let own = |own: &BTreeMap<_, Attribute>| own.values().cloned().collect();
        changes
            .objects
            .iter()
            .map(|(id, changed)| (*id, own(changed)))
            .collect()
    }

    /// Takes the changes of another instead of those that are here.
    pub(super) fn replace(&self, other: &Self) {
        let new = other.changes.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_used = !new.objects.is_empty();
        *self.changes.write().unwrap_or_else(PoisonError::into_inner) = new;
        self.is_used.store(is_used, Ordering::Release);
    }

    /// Takes all changes back.
    pub(super) fn clear(&self) {
        let mut changes = self.changes.write().unwrap_or_else(PoisonError::into_inner);
        *changes = Changes::default();
        self.is_used.store(false, Ordering::Release);
    }
}
