//! The views and functions behind the dashboards: what changed, link state, events and what queries go by.

use crate::common::batches::{Builder, attributes, peer, peer_down, peer_up, prefix};
use crate::common::db::Edition;
use crate::common::nlri_samples::link_state_samples;
use crate::common::store::Store;
use crate::known::{HOUR, now};
use holdfast::bgp;
use holdfast::route::{Attributes, Cause, Family, Peer, RibView};

fn pre() -> Peer {
    peer(1, RibView::AdjInPre, 1)
}

/// Numbers of `churn_causes` that are not 0, as `name=number`.
async fn causes(store: &Store, by: &str) -> Vec<String> {
    let sql = format!(
        "SELECT c.subject || ' ' || (SELECT string_agg(key || '=' || value, ' ' ORDER BY key)
            FROM jsonb_each_text(to_jsonb(c) - 'subject' - 'last_at') WHERE value <> '0')
        FROM churn_causes('{by}') c ORDER BY 1"
    );
    store.database.texts(&sql).await
}

#[tokio::test]
async fn each_change_is_compared_with_the_update_before_it() {
    for edition in Edition::ALL {
        let Some(mut store) = Store::open(edition, "causes").await else { continue };
        let begin = now() - HOUR / 2;
        let at = |seconds: i64| Builder::new("r1", begin).at(begin + seconds * 1_000_000);
        let with = |change: &dyn Fn(&mut Attributes)| {
            let mut changed = attributes(&[9, 3]);
            change(&mut changed);
            changed
        };
        let dump = at(0).announce(&pre(), [1, 2], &[1, 2]).because(Cause::InitialDump);
        let mut batches = vec![dump.build()];
        let paths = [attributes(&[1, 3]), attributes(&[9, 3])];
        let others = [
            with(&|one| one.next_hop = Some([198, 51, 100, 1].into())),
            with(&|one| one.med = Some(7)),
            with(&|one| one.local_pref = Some(7)),
            with(&|one| one.communities = vec![1]),
            with(&|one| one.communities = vec![2]),
            with(&|one| one.communities = vec![2]),
        ];
        for (seconds, attributes) in (1..).zip(paths.iter().chain(&others)) {
            let entry = [(None, prefix(1))];
            batches.push(at(seconds).routes(&pre(), Family::IPV4_UNICAST, Some(attributes), entry).build());
        }
        batches.push(at(20).withdraw(&pre(), [1]).build());
        batches.push(at(21).announce(&pre(), [1], &[9, 3]).announce(&pre(), [3], &[4]).build());
        for batch in batches {
            store.put(&[batch]).await;
        }
        // An update that differs in several attributes counts for the first: next hop, MED, LOCAL_PREF.
        assert_eq!(
            causes(&store, "prefix").await,
            [
                "1.0.1.0/24 announced_again=1 as_path=1 changes=10 communities=1 local_pref=1 med=1 \
                    next_hop=2 origin=1 repeated=1 routes=1 withdrawn=1",
                "1.0.3.0/24 changes=1 first_in_period=1 routes=1",
            ],
            "{edition:?}"
        );
        assert_eq!(
            causes(&store, "as").await.iter().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(),
            ["AS3", "AS4"],
            "a withdrawal counts for the origin before it"
        );
        store.close().await;
    }
}

#[tokio::test]
async fn link_state_is_split_into_nodes_and_links() {
    let Some(mut store) = Store::open(Edition::Plain, "link_state").await else { return };
    let mut builder = Builder::new("r1", now());
    for sample in link_state_samples() {
        let encoding = bgp::Encoding { add_path: false, multiple_labels: true };
        let routes: Vec<_> = bgp::nlri(sample.family, &sample.bytes, encoding, false)
            .map(|entry| (None, entry.unwrap().nlri))
            .collect();
        builder = builder.routes(&pre(), sample.family, Some(&attributes(&[1])), routes);
    }
    store.put(&[builder.build()]).await;
    let sql = "SELECT concat_ws('|', kind, protocol, instance, local_node, remote_node, object)
        FROM link_state ORDER BY kind";
    let local = "7|asn=65000,ls-id=0,router-id=0000.0000.0001";
    assert_eq!(
        store.database.texts(sql).await,
        [
            format!("ipv4-prefix|ospfv2|{local}|ospf-route-type=3,prefix=10.1.2.0/24"),
            format!("ipv6-prefix|ospfv3|{local}|prefix=2001:db8::/32"),
            format!(
                "link|isis-l2|{local}|area=0.0.0.1,router-id=192.0.2.1:192.0.2.2|link-ids=5/6,\
                ipv4-interface=192.0.2.1,ipv6-neighbor=2001:db8::2,mt-id=2,999=0x0102"
            ),
            format!("node|isis-l1|{local}"),
            format!("srv6-sid|protocol 9|{local}|sid=2001:db8::5"),
        ]
    );
    store.close().await;
}

#[tokio::test]
async fn events_have_reasons_and_empty_bases_are_shown() {
    let Some(mut store) = Store::open(Edition::Plain, "events").await else { return };
    let up = Builder::new("r1", now() - HOUR).at(now() - HOUR).event(Some(&pre()), peer_up());
    let down = Builder::new("r1", now() - HOUR).at(now()).event(Some(&pre()), peer_down());
    store.put(&[up.build(), down.build()]).await;
    let texts = async |sql: &str| store.database.texts(sql).await;
    let events = "SELECT concat_ws('|', router, host(peer), event, reason) FROM session_events ORDER BY at";
    assert_eq!(
        texts(events).await,
        ["r1|198.51.100.1|peer_up", "r1|198.51.100.1|peer_down|closed locally, FSM event 1"]
    );
    let bases = "SELECT basis || ' ' || entries FROM query_bases ORDER BY 1";
    assert_eq!(texts(bases).await, ["own_prefixes 0", "peer_roles 0", "rpki_vrps 0"]);
    assert_eq!(texts("SELECT concat_ws(' ', collector, lane, last_seq) FROM lanes").await, ["c1 0 2"]);
    assert_eq!(texts("SELECT concat_ws(' ', first_seq, last_seq, events) FROM deliveries").await, ["1 2 2"]);
    store.close().await;
}
