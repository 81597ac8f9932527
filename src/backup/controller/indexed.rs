//! Keeps the index of open attempts by the events of one watch. Events go in, the index changes. Pure, no client.

use std::collections::HashSet;

use kube::runtime::watcher::Event;

use crate::{api::SalesforceBackup, backup::neighbours::OpenAttempts, kubernetes::key::ObjectKey};

/// The part of the index of open attempts that one watch keeps.
#[derive(Debug, Default)]
pub(super) struct Indexed {
    open: HashSet<ObjectKey>,
    /// Those that a list has shown since it began.
    listed: HashSet<ObjectKey>,
}

impl Indexed {
    /// Takes an event of the watch, in the order in which they come.
    pub(super) fn see(&mut self, event: &Event<SalesforceBackup>, attempts: &OpenAttempts) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) | Event::Apply(object) => {
                let key = ObjectKey::of(object);
                if attempts.set(object) {
                    self.listed.insert(key.clone());
                    self.open.insert(key);
                } else {
                    self.listed.remove(&key);
                    self.open.remove(&key);
                }
            }
            Event::Delete(object) => {
                let key = ObjectKey::of(object);
                attempts.remove(&key);
                self.listed.remove(&key);
                self.open.remove(&key);
            }
            // An object that the list does not show is gone.
            Event::InitDone => {
                for gone in self.open.difference(&self.listed) {
                    attempts.remove(gone);
                }
                self.open = std::mem::take(&mut self.listed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::target::Target;

    fn object(name: &str, is_open: bool) -> SalesforceBackup {
        let attempt = json!({"number": 1, "id": "a1", "endpoint": HERE, "targets": [{"clientId": 12}]});
        serde_json::from_value(json!({
            "apiVersion": "commandcenter.dev/v1alpha1", "kind": "SalesforceBackup",
            "metadata": {"namespace": "n", "name": name, "uid": name},
            "spec": {"commandCenter": {"secretRef": {"name": "s"}}, "associations": [{"clientId": 12}]},
            "status": if is_open { json!({"attempt": attempt}) } else { json!({}) },
        }))
        .unwrap()
    }

    const HERE: &str = "https://cc.example.com/api";

    #[test]
    fn what_is_deleted_settled_or_not_listed_again_has_no_open_attempt() {
        let (mut indexed, attempts) = (Indexed::default(), OpenAttempts::default());
        let open = || {
            let target = Target { client_id: Some(12), ..Target::default() };
            attempts.near(HERE, &[target]).into_iter().map(|other| other.uid.clone()).collect::<Vec<_>>()
        };
        let mut see = |event| indexed.see(&event, &attempts);
        see(Event::Init);
        for name in ["a", "b", "c", "d"] {
            see(Event::InitApply(object(name, true)));
        }
        see(Event::InitDone);
        assert_eq!(open(), ["a", "b", "c", "d"]);
        see(Event::Apply(object("a", false)));
        see(Event::Delete(object("b", true)));
        assert_eq!(open(), ["c", "d"]);
        // The watch was away, and c is gone meanwhile.
        see(Event::Init);
        see(Event::InitApply(object("a", true)));
        see(Event::InitApply(object("d", true)));
        assert_eq!(open(), ["a", "c", "d"], "what is not listed yet may be there");
        see(Event::InitDone);
        assert_eq!(open(), ["a", "d"]);
    }
}
