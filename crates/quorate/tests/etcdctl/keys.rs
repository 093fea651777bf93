//! Commands on keys, each with its outputs.

use serde_json::{Value, json};

use super::ctl::Ctl;

/// Sets one key, and reads it in every output.
pub(crate) fn puts_and_gets(ctl: &Ctl) {
    assert_eq!(ctl.says(&["put", "f/fig", "green"]), "OK\n");
    let before = "OK\nf/fig\ngreen\n";
    assert_eq!(ctl.says(&["put", "f/fig", "blue", "--prev-kv"]), before);
    let revision = revision(ctl);
    assert_eq!(ctl.says(&["get", "f/fig"]), "f/fig\nblue\n");
    assert_eq!(ctl.says(&["get", "f/none"]), "");
    assert_eq!(ctl.says(&["get", "f/fig", "--consistency=s"]), "f/fig\nblue\n");
    assert_eq!(ctl.says(&["get", "f/fig", "--print-value-only"]), "blue\n");
    assert_eq!(ctl.says(&["get", "f/fig", "--keys-only"]), "f/fig\n\n");
    assert_eq!(
        ctl.says(&["get", "f/fig", "--hex"]),
        "\\x66\\x2f\\x66\\x69\\x67\n\\x62\\x6c\\x75\\x65\n"
    );

    let answer = ctl.json(&["get", "f/fig"]);
    assert_eq!(answer["count"], 1);
    let pair = &answer["kvs"][0];
    assert_eq!((&pair["key"], &pair["value"]), (&json!("Zi9maWc="), &json!("Ymx1ZQ==")));
    assert_eq!(pair["mod_revision"], json!(revision));
    assert_eq!(pair["version"], json!(2), "{pair}");
    assert_eq!(pair["create_revision"], json!(revision - 1));

    let fields = ctl.says(&["get", "f/fig", "--write-out", "fields"]);
    for line in ["\"Key\" : \"f/fig\"", "\"Value\" : \"blue\"", "\"Version\" : 2", "\"Count\" : 1"]
    {
        assert!(fields.lines().any(|found| found == line), "{line} is not in {fields}");
    }
    let answer = ctl.json(&["put", "f/fig", "red", "--prev-kv"]);
    assert_eq!(answer["prev_kv"]["value"], "Ymx1ZQ==");
    assert_eq!(answer["header"]["revision"], json!(revision + 1));

    // A value from the standard input; one that looks like a flag; one that is kept.
    assert_eq!(ctl.answers(&["put", "f/fig"], "two\nlines"), "OK\n");
    assert_eq!(ctl.says(&["get", "f/fig"]), "f/fig\ntwo\nlines\n");
    assert_eq!(ctl.says(&["put", "f/fig", "--", "-z"]), "OK\n");
    assert_eq!(ctl.says(&["put", "--ignore-value", "f/fig"]), "OK\n");
    assert_eq!(ctl.says(&["put", "--ignore-lease", "f/fig", "--", "-z"]), "OK\n");
    assert_eq!(ctl.says(&["get", "f/fig", "--print-value-only"]), "-z\n");
    assert_eq!(ctl.json(&["get", "f/fig"])["kvs"][0]["version"], json!(7));
}

/// Every flag of a read of several keys.
pub(crate) fn ranges(ctl: &Ctl) {
    ctl.says(&["del", "f/", "--prefix"]);
    // By key: apple, fig, plum. Created: plum, apple, fig. Changed: apple, fig, plum. Versions: 1,
    // 1, 2. By value: plum, fig, apple.
    for (key, value) in [("f/plum", "0"), ("f/apple", "3"), ("f/fig", "2"), ("f/plum", "1")] {
        ctl.says(&["put", key, value]);
    }
    let values = |flags: &[&str]| {
        let base = ["get", "--print-value-only"];
        ctl.says(&[&base, flags].concat()).split_whitespace().collect::<String>()
    };
    assert_eq!(values(&["f/", "--prefix"]), "321");
    assert_eq!(values(&["f/apple", "f/plum"]), "32");
    assert_eq!(values(&["f/b", "--from-key", "--limit=2"]), "21");
    assert_eq!(values(&["f/", "--prefix", "--limit=2"]), "32");
    assert_eq!(values(&["f/", "--prefix", "--consistency=s"]), "321");
    for (target, upwards) in
        [("KEY", "321"), ("CREATE", "132"), ("MODIFY", "321"), ("VALUE", "123")]
    {
        let target = format!("--sort-by={target}");
        let downwards: String = upwards.chars().rev().collect();
        assert_eq!(values(&["f/", "--prefix", &target]), upwards, "{target}");
        assert_eq!(values(&["f/", "--prefix", &target, "--order=ASCEND"]), upwards, "{target}");
        assert_eq!(values(&["f/", "--prefix", &target, "--order=DESCEND"]), downwards, "{target}");
        let first = &downwards[..1];
        let flags = ["f/", "--prefix", &target, "--order=DESCEND", "--limit=1"];
        assert_eq!(values(&flags), first, "{target}");
    }
    assert_eq!(values(&["f/", "--prefix", "--sort-by=VERSION"]), "321");
    let highest = ["f/", "--prefix", "--sort-by=VERSION", "--order=DESCEND", "--limit=1"];
    assert_eq!(values(&highest), "1");

    let text = ctl.says(&["get", "f/", "--prefix"]);
    assert_eq!(text, "f/apple\n3\nf/fig\n2\nf/plum\n1\n");
    let text = ctl.says(&["get", "f/", "--prefix", "--keys-only"]);
    assert_eq!(text, "f/apple\n\nf/fig\n\nf/plum\n\n");
    let answer = ctl.json(&["get", "f/", "--prefix", "--limit=1"]);
    assert_eq!((&answer["count"], &answer["more"]), (&json!(3), &json!(true)));
    assert_eq!(answer["kvs"].as_array().map(Vec::len), Some(1));
    let answer = ctl.json(&["get", "f/", "--prefix", "--keys-only"]);
    assert_eq!(answer["kvs"][2]["key"], "Zi9wbHVt");
    assert_eq!(answer["kvs"][2]["value"], Value::Null);
    if ctl.has_flag("get", "--count-only") {
        let flags = ["get", "f/", "--prefix", "--count-only", "--write-out", "fields"];
        let text = ctl.says(&flags);
        assert!(text.contains("\"Count\" : 3\n") && !text.contains("Key"), "{text}");
    }
}

/// Transactions as they are typed.
pub(crate) fn transactions(ctl: &Ctl) {
    ctl.says(&["put", "t/a", "1"]);
    ctl.says(&["del", "t/b"]);
    let script = "value(\"t/a\") = \"1\"\nversion(\"t/b\") = \"0\"\n\n\
                  put t/b \"x y\"\nget t/b\nget t/ --prefix\n\n\
                  get t/a\n\n";
    let success = "SUCCESS\n\nOK\n\nt/b\nx y\n\nt/a\n1\nt/b\nx y\n";
    assert_eq!(ctl.answers(&["txn"], script), success);
    assert_eq!(ctl.answers(&["txn"], script), "FAILURE\n\nt/a\n1\n");
    let text = ctl.answers(&["txn", "--interactive"], script);
    assert!(text.starts_with("compares:\n") && text.ends_with("FAILURE\n\nt/a\n1\n"), "{text}");
    for (condition, holds) in [
        ("mod(\"t/none\") = \"0\"", true),
        ("create(\"t/a\") > \"0\"", true),
        ("ver(\"t/a\") < \"1\"", false),
        ("val(\"t/a\") > \"0\"", true),
    ] {
        let text = ctl.answers(&["txn"], &format!("{condition}\n\n\n\n"));
        assert_eq!(text, if holds { "SUCCESS\n" } else { "FAILURE\n" }, "{condition}");
    }
    let script = "\nput t/a 2\ndel t/b\n\n\n";
    let text = ctl.answers(&["txn", "--write-out", "json"], script);
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["succeeded"], true);
    // The name of what is inside depends on the release.
    let removed = &answer["responses"][1]["Response"];
    let removed = removed.as_object().and_then(|response| response.values().next()).unwrap();
    assert_eq!(removed["deleted"], 1);
    assert_eq!(ctl.says(&["get", "t/", "--prefix"]), "t/a\n2\n");
    ctl.says(&["del", "t/", "--prefix"]);
}

/// Reads of the past, and its end.
pub(crate) fn revisions(ctl: &Ctl) {
    for value in ["1", "2", "3"] {
        ctl.says(&["put", "r/a", value]);
    }
    let now = revision(ctl);
    for (back, value) in [(0, "3"), (1, "2"), (2, "1")] {
        let flag = format!("--rev={}", now - back);
        assert_eq!(ctl.says(&["get", "r/a", &flag]), format!("r/a\n{value}\n"));
    }
    let future = "Error: etcdserver: mvcc: required revision is a future revision";
    assert_eq!(ctl.fails(&["get", "r/a", &format!("--rev={}", now + 1)]), future);
    assert_eq!(ctl.fails(&["compaction", &(now + 1).to_string()]), future);
    let middle = (now - 1).to_string();
    assert_eq!(ctl.says(&["compaction", &middle]), format!("compacted revision {middle}\n"));
    let compacted = "Error: etcdserver: mvcc: required revision has been compacted";
    assert_eq!(ctl.fails(&["compaction", &middle]), compacted);
    assert_eq!(ctl.fails(&["get", "r/a", &format!("--rev={}", now - 2)]), compacted);
    assert_eq!(ctl.says(&["get", "r/a", &format!("--rev={middle}")]), "r/a\n2\n");
    let now = now.to_string();
    let text = ctl.says(&["compaction", &now, "--physical"]);
    assert_eq!(text, format!("compacted revision {now}\n"));
    assert_eq!(ctl.says(&["del", "r/a"]), "1\n");
}

/// Errors as scripts see them.
pub(crate) fn errors(ctl: &Ctl) {
    let no_lease = "Error: etcdserver: requested lease not found";
    assert_eq!(ctl.fails(&["put", "e/a", "1", "--lease=1234abcd"]), no_lease);
    let no_key = "Error: etcdserver: key not found";
    assert_eq!(ctl.fails(&["put", "--ignore-value", "e/none"]), no_key);
    assert_eq!(ctl.says(&["get", "e/a"]), "");
}

/// Removals of every form.
pub(crate) fn removals(ctl: &Ctl) {
    let fill = || {
        for (key, value) in [("f/apple", "1"), ("f/fig", "2"), ("f/plum", "3")] {
            ctl.says(&["put", key, value]);
        }
    };
    fill();
    assert_eq!(ctl.says(&["del", "f/fig"]), "1\n");
    assert_eq!(ctl.says(&["del", "f/fig"]), "0\n");
    assert_eq!(ctl.says(&["del", "f/apple", "f/plum", "--prev-kv"]), "1\nf/apple\n1\n");
    fill();
    let answer = ctl.json(&["del", "f/", "--prefix", "--prev-kv"]);
    assert_eq!(answer["deleted"], 3);
    assert_eq!(answer["prev_kvs"][2]["key"], "Zi9wbHVt");
    fill();
    assert_eq!(ctl.says(&["del", "f/b", "--from-key"]), "2\n");
    assert_eq!(ctl.says(&["del", "", "--from-key"]), "1\n");
    assert_eq!(ctl.says(&["get", "", "--from-key"]), "");
}

/// The current revision.
fn revision(ctl: &Ctl) -> i64 {
    ctl.json(&["get", "any"])["header"]["revision"].as_i64().unwrap()
}
