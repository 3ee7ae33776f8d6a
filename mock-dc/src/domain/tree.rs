//! The tree of objects: who stands where, and whom a value names.
//!
//! Named objects are kept; the accounts that are only numbered are computed when asked for, also by name, place,
//! identifier and GUID. What is here does not change while the domain runs.

use std::borrow::Cow;
use std::collections::HashMap;

use super::dn::{Dn, Escape, Rdn, escape};
use super::fold::fold;
use super::generated::Generated;
use super::object::{Class, Object, ObjectId};
use super::sid::Sid;

/// Attributes whose values are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// sAMAccountName.
    Sam,
    /// userPrincipalName.
    Upn,
    /// name, which is the value of the naming attribute.
    Name,
    /// mail.
    Mail,
    /// displayName.
    DisplayName,
    /// servicePrincipalName.
    Spn,
}

/// Objects and where they stand.
#[derive(Debug)]
pub(super) struct Tree {
    objects: Vec<Object>,
    children: HashMap<ObjectId, Vec<ObjectId>>,
    by_dn: HashMap<Dn, ObjectId>,
    by_guid: HashMap<[u8; 16], ObjectId>,
    by_sid: HashMap<Vec<u8>, ObjectId>,
    by_value: HashMap<(Key, String), Vec<ObjectId>>,
    base: Dn,
    base_text: String,
    style: Escape,
    generated: Option<Generated>,
}

impl Tree {
    /// A tree with the domain's root, whose name is `base_text`.
    pub(super) fn new(root: Object, base_text: String, style: Escape) -> Self {
        let mut tree = Self {
            objects: Vec::new(),
            children: HashMap::new(),
            by_dn: HashMap::new(),
            by_guid: HashMap::new(),
            by_sid: HashMap::new(),
            by_value: HashMap::new(),
            base: Dn::parse(&base_text).unwrap_or_else(Dn::root),
            base_text,
            style,
            generated: None,
        };
        tree.add(root);
        tree
    }

    /// Adds an object below one that is there. Of two with the same name the later hides the earlier; configurations
    /// are checked for that.
    pub(super) fn add(&mut self, object: Object) -> ObjectId {
        let id = ObjectId(u32::try_from(self.objects.len()).unwrap_or(u32::MAX));
        self.by_guid.insert(object.guid, id);
        if let Some(sid) = &object.sid {
            self.by_sid.insert(sid.bytes(), id);
        }
        let texts = |name| object.texts(name).map(fold).collect::<Vec<_>>();
        let values = [
            (Key::Sam, object.sam.iter().map(|sam| fold(sam)).collect()),
            (Key::Upn, object.upn.iter().map(|upn| fold(upn)).collect()),
            (Key::Name, vec![fold(&object.name)]),
            (Key::Mail, texts("mail")),
            (Key::DisplayName, texts("displayName")),
            (Key::Spn, texts("servicePrincipalName")),
        ];
        for (key, values) in values {
            for value in values {
                self.by_value.entry((key, value)).or_default().push(id);
            }
        }
        let dn = match object.parent {
            Some(parent) => {
                self.children.entry(parent).or_default().push(id);
                self.dn(parent)
                    .child(&fold(object.class.naming_attribute()), &fold(&object.name))
            }
            None => self.base.clone(),
        };
        self.by_dn.insert(dn, id);
        self.objects.push(object);
        id
    }

    /// Ends the named objects: all further ones are generated.
    pub(super) fn set_generated(&mut self, generated: Generated) {
        self.generated = Some(generated);
    }

    /// The id that the next named object will have, and after the last the first generated one.
    pub(super) fn next_id(&self) -> u32 {
        u32::try_from(self.objects.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn named(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id.index())
    }

    /// The named objects right below `id`.
    pub(super) fn children(&self, id: ObjectId) -> impl Iterator<Item = ObjectId> {
        self.children.get(&id).into_iter().flatten().copied()
    }

    pub(super) fn named_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.objects.get_mut(id.index())
    }

    pub(super) fn named_objects(&self) -> impl Iterator<Item = (ObjectId, &Object)> {
        (0..).map(ObjectId).zip(&self.objects)
    }

    /// One past the last id.
    pub(super) fn end(&self) -> u32 {
        self.generated.as_ref().map_or(self.next_id(), Generated::end)
    }

    pub(super) fn object(&self, id: ObjectId) -> Cow<'_, Object> {
        match (self.named(id), &self.generated) {
            (Some(object), _) => Cow::Borrowed(object),
            (None, Some(generated)) => Cow::Owned(generated.object(id)),
            // Ids come from this tree; one of another tree reads as the root.
            (None, None) => Cow::Borrowed(&self.objects[0]),
        }
    }

    pub(super) fn generated(&self) -> Option<&Generated> {
        self.generated.as_ref()
    }

    pub(super) fn base(&self) -> &Dn {
        &self.base
    }

    pub(super) fn base_text(&self) -> &str {
        &self.base_text
    }

    /// Its distinguished name, folded.
    pub(super) fn dn(&self, id: ObjectId) -> Dn {
        let object = self.object(id);
        match object.parent {
            Some(parent) => self
                .dn(parent)
                .child(&fold(object.class.naming_attribute()), &fold(&object.name)),
            None => self.base.clone(),
        }
    }

    /// Its distinguished name as it is shown.
    pub(super) fn dn_text(&self, id: ObjectId) -> String {
        let object = self.object(id);
        match object.parent {
            Some(parent) => format!(
                "{}={},{}",
                object.class.naming_attribute(),
                escape(&object.name, self.style),
                self.dn_text(parent)
            ),
            None => self.base_text.clone(),
        }
    }

    /// Whether `id` is `base` or below it.
    pub(super) fn is_within(&self, id: ObjectId, base: ObjectId) -> bool {
        let mut at = Some(id);
        while let Some(here) = at {
            if here == base {
                return true;
            }
            at = self.object(here).parent;
        }
        false
    }

    pub(super) fn find_dn(&self, dn: &Dn) -> Option<ObjectId> {
        self.find_rdns(dn.rdns())
    }

    fn find_rdns(&self, rdns: &[Rdn]) -> Option<ObjectId> {
        self.by_dn.get(rdns).copied().or_else(|| {
            let generated = self.generated.as_ref()?;
            let ((kind, name), parent) = rdns.split_first()?;
            (kind == "cn" && self.by_dn.get(parent) == Some(&generated.parent()))
                .then(|| generated.find(name))
                .flatten()
        })
    }

    /// The nearest object above a name. Whatever stands in the tree has all above it there too, so that the way is from
    /// the domain's root down and ends where the first is missing, however long the name.
    pub(super) fn nearest_above(&self, dn: &Dn) -> Option<ObjectId> {
        let rdns = dn.rdns();
        let longer = (self.base.depth()..rdns.len()).map(|length| &rdns[rdns.len() - length..]);
        longer.map_while(|above| self.find_rdns(above)).last()
    }

    pub(super) fn find_guid(&self, guid: [u8; 16]) -> Option<ObjectId> {
        let computed = || self.generated.as_ref()?.find_guid(guid);
        self.by_guid.get(&guid).copied().or_else(computed)
    }

    pub(super) fn find_sid(&self, sid: &Sid) -> Option<ObjectId> {
        let computed = || self.generated.as_ref()?.find_sid(sid);
        self.by_sid.get(&sid.bytes()).copied().or_else(computed)
    }

    /// Everything that has this value.
    pub(super) fn find(&self, key: Key, value: &str) -> Vec<ObjectId> {
        let value = fold(value);
        let computed = self.generated.as_ref().and_then(|generated| match key {
            Key::Sam | Key::Name => generated.find(&value),
            Key::Upn => generated.find_upn(&value),
            Key::Mail => generated.find_mail(&value),
            Key::DisplayName | Key::Spn => None,
        });
        let mut found = self.by_value.get(&(key, value)).cloned().unwrap_or_default();
        found.extend(computed);
        found
    }

    /// The object at the end of a path of names below the domain's root, `Test/Good User`, in canonical order. No name
    /// behind the first that nothing has is asked for.
    pub(super) fn find_path(&self, mut names: impl Iterator<Item: AsRef<str>>) -> Option<ObjectId> {
        names.try_fold(ObjectId::ROOT, |at, name| self.child(at, name.as_ref()))
    }

    /// The object of this name right below another.
    pub(super) fn child(&self, above: ObjectId, name: &str) -> Option<ObjectId> {
        let name = fold(name);
        let is_it = |child: &ObjectId| self.named(*child).is_some_and(|object| fold(&object.name) == name);
        let computed = || {
            self.generated
                .as_ref()
                .filter(|generated| generated.parent() == above)?
                .find(&name)
        };
        self.children(above).find(is_it).or_else(computed)
    }

    /// The container of generated accounts, and of all that name no other place: `CN=Users`.
    pub(super) fn users(&self) -> ObjectId {
        self.find_dn(&self.base.child("cn", "users")).unwrap_or(ObjectId::ROOT)
    }

    /// Names from the root down to the object, the root itself left out.
    pub(super) fn path(&self, id: ObjectId) -> Vec<String> {
        let object = self.object(id);
        match object.parent {
            Some(parent) => {
                let mut path = self.path(parent);
                path.push(object.name.clone());
                path
            }
            None => Vec::new(),
        }
    }

    /// Whether any object below the root of the domain belongs to the configuration, which is a naming context of its
    /// own although its name lies within the domain's.
    pub(super) fn is_configuration(&self, id: ObjectId) -> bool {
        let mut at = Some(id);
        while let Some(here) = at {
            let object = self.object(here);
            if object.class == Class::Configuration {
                return true;
            }
            at = object.parent;
        }
        false
    }
}
