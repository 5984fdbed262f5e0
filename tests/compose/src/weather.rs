//! What becomes of packets between containers: lost, slow, heard in one direction only. It is done from outside, in the network
//! namespace of each, so an image needs no program for it.
//!
//! Packets are dropped where they arrive and never where they are sent: who sends one that is lost on the way is not told so.

use std::collections::BTreeSet;

use testkit::netns::{LabError, Namespace};

use crate::Inside;

/// The weather of a network. Clear by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// The containers, by number, from which nothing arrives anywhere.
    pub unheard: BTreeSet<usize>,
    /// Those where nothing arrives.
    pub deaf: BTreeSet<usize>,
    /// How many of a hundred packets of UDP and TCP are lost.
    pub loss: u8,
    /// Whether no UDP arrives but that of mDNS, as in some guest networks: devices find each other, and QUIC does not get through.
    pub without_udp: bool,
    /// Whether no mDNS arrives: nobody is found.
    pub without_multicast: bool,
    /// How many bytes in a second leave a container at most.
    pub bytes_per_second: Option<u32>,
}

impl Weather {
    /// Makes it so for one of `all`, of which `None` is one that does not run.
    ///
    /// # Errors
    /// This user may not, or `nft` or `tc` is missing.
    pub fn apply(&self, number: usize, all: &[Option<Inside>]) -> Result<(), LabError> {
        let Some(Some(inside)) = all.get(number) else {
            return Ok(());
        };
        let namespace = Namespace::of_process(inside.process)?;
        namespace.nft(&self.rules(number, all))?;
        // Not there is what it is at first.
        let _ = namespace.tc("qdisc del dev eth0 root");
        match self.bytes_per_second {
            None => Ok(()),
            Some(rate) => namespace.tc(&format!(
                "qdisc add dev eth0 root tbf rate {rate}bps burst 16kb limit 64kb"
            )),
        }
    }

    /// For `nft`, in one transaction: the table is there for `delete`, and comes back with the new rules.
    fn rules(&self, number: usize, all: &[Option<Inside>]) -> String {
        let mut rules = vec!["iifname lo accept;".to_owned()];
        if self.deaf.contains(&number) {
            rules.push("drop;".to_owned());
        }
        let others = self.unheard.iter().filter(|other| **other != number);
        let others = others.filter_map(|other| all.get(*other)?.as_ref());
        rules.extend(others.map(|other| format!("ether saddr {} drop;", other.hardware)));
        if self.without_udp {
            rules.push("meta l4proto udp th dport != 5353 drop;".to_owned());
        }
        if self.without_multicast {
            rules.push("udp dport 5353 drop;".to_owned());
        }
        if self.loss > 0 {
            let loss = self.loss;
            rules.push(format!(
                "meta l4proto {{ tcp, udp }} numgen random mod 100 < {loss} drop;"
            ));
        }
        format!(
            "add table inet weather
             delete table inet weather
             table inet weather {{
                 chain input {{
                     type filter hook input priority 0;
                     {}
                 }}
             }}
            ",
            rules.join("\n                     ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(number: u32) -> Option<Inside> {
        Some(Inside {
            process: number,
            hardware: format!("02:42:ac:12:00:0{number}"),
            address: [172, 18, 0, number as u8].into(),
            prefix: 16,
        })
    }

    #[test]
    fn nothing_is_dropped_in_clear_weather() {
        let rules = Weather::default().rules(0, &[inside(1), inside(2)]);
        assert!(!rules.contains("drop"), "{rules}");
    }

    #[test]
    fn who_is_not_heard_is_dropped_by_the_others_and_hears_them() {
        let weather = Weather {
            unheard: [1].into(),
            ..Weather::default()
        };
        let all = [inside(1), inside(2), None];
        let at_another = weather.rules(0, &all);
        assert!(
            at_another.contains("ether saddr 02:42:ac:12:00:02 drop;"),
            "{at_another}"
        );
        assert!(!weather.rules(1, &all).contains("drop"));
    }
}
