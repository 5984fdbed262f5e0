//! Devices of different protocol versions.

use proto::message::VersionRange;
use softbus::GetServiceError;
use testkit::{
    scenarios::{
        SERVICE, for_all,
        workbench::{reverse, workbench},
    },
    world::Device,
};

use crate::run_in;

/// Of those that are made, each as (lowest, highest), every one calls every other.
#[test]
fn old_and_new_versions_work_together_where_they_have_one_in_common() {
    run_in(async |world| {
        let ranges = [(1, 1), (1, 2), (1, 5)];
        let nodes: Vec<_> = ranges
            .map(|(lowest, highest)| {
                let node = world.node_with(|builder| builder.protocol_versions(lowest, highest));
                node.add(SERVICE, &workbench().0, for_all()).unwrap();
                node
            })
            .into();
        for from in &nodes {
            for to in nodes.iter().filter(|to| to.id() != from.id()) {
                let proxy = from.get(SERVICE, &to.id()).await.unwrap();
                assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
            }
        }
    });
}

#[test]
fn without_a_version_in_common_both_are_told_which_the_other_speaks() {
    run_in(async |world| {
        let old = world.node();
        let new = world.node_with(|builder| builder.protocol_versions(2, 3));
        let [one, two] = [VersionRange::SPOKEN, VersionRange::new(2, 3)];
        for (from, to, ours, theirs) in [(&old, &new, one, two), (&new, &old, two, one)] {
            let refused = from.get(SERVICE, &to.id()).await.unwrap_err();
            assert_eq!(refused, GetServiceError::NoCommonVersion { ours, theirs });
            let text = format!("no common protocol version: {ours} here, {theirs} there");
            assert_eq!(refused.to_string(), text);
            assert!(from.usage().is_empty(), "there never was a session");
        }
    });
}
