//! Configurations as ZooKeeper's documentation and its users write them.

use super::*;

const ENSEMBLE: &str = "tickTime=2000\ndataDir=/var/zk\nclientPort=2181\ninitLimit=5\nsyncLimit=2\n\
    server.1=zoo1:2888:3888\nserver.2=zoo2:2888:3888\nserver.3=zoo3:2888:3888:observer\n";

fn with(text: &str, myid: Option<&str>) -> Result<ZooCfg, Vec<String>> {
    parse(&Sources { name: "zoo.cfg", text, myid, ..Sources::default() })
}

fn errors(text: &str, myid: Option<&str>) -> String {
    with(text, myid).expect_err(text).join("\n")
}

#[test] // zoo_sample.cfg
fn a_standalone_server_is_an_ensemble_of_one() {
    let cfg =
        with("tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir=/tmp/zookeeper\nclientPort=2181\n", None)
            .expect("the sample");
    assert_eq!((cfg.member, cfg.servers.len()), (MemberId(1), 1));
    assert_eq!(cfg.client, Some((String::new(), 2181)));
    assert_eq!(cfg.settings.max_client_cnxns, 60);
    assert_eq!(cfg.settings.words, ["srvr"], "3.5 and later answer srvr alone");
    assert_eq!((cfg.settings.min_session_timeout_ms, cfg.settings.max_session_timeout_ms), (4000, 40_000));
    assert!(cfg.warnings.is_empty(), "{:?}", cfg.warnings);
}

#[test]
fn an_ensemble_with_an_observer() {
    let cfg = with(ENSEMBLE, Some("2\n")).expect("good");
    assert_eq!((cfg.member, cfg.servers.len()), (MemberId(2), 3));
    assert!(cfg.servers[2].observer && !cfg.servers[1].observer);
    assert_eq!((cfg.sync_limit, cfg.init_limit), (Duration::from_secs(4), Duration::from_secs(10)));
    assert_eq!(cfg.client, Some((String::new(), 2181)), "lines without a client part");
}

#[test] // a dynamic file has the server lines with their client parts
fn a_dynamic_file_has_the_servers() {
    let sources = Sources {
        name: "zoo.cfg",
        text: "dataDir=/d\ninitLimit=5\nsyncLimit=2\ndynamicConfigFile=zoo.cfg.dynamic\n4lw.commands.whitelist=stat, ruok\n",
        dynamic: Some(("zoo.cfg.dynamic", "server.5=h:1:2:participant;10.0.0.5:2181\nversion=100000000\n")),
        myid: Some("5"),
        properties: &["zookeeper.snapCount=7".to_owned(), "file.encoding=UTF-8".to_owned()],
        ..Sources::default()
    };
    let mut cfg = parse(&sources).map_err(|errors| errors.join("\n"));
    if let Ok(cfg) = &mut cfg {
        assert_eq!(cfg.client, Some(("10.0.0.5".to_owned(), 2181)));
        assert_eq!(cfg.snapshot_every_txns, 7);
        assert_eq!(cfg.settings.words, ["stat", "ruok"]);
        assert!(cfg.warnings.is_empty(), "{:?}", cfg.warnings);
    }
    assert!(cfg.is_ok(), "{cfg:?}");
}

#[test]
fn users_of_sasl_and_the_super_user() {
    let sources = Sources {
        name: "zoo.cfg",
        text: "dataDir=/d\nclientPort=1\nauthProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n\
               authProvider.2=com.example.Mine\nsessionRequireClientSASLAuth=true\n",
        jaas: Some(("jaas.conf", "Server { x.DigestLoginModule required user_joe=secret; };")),
        properties: &[
            "zookeeper.DigestAuthenticationProvider.superDigest=super:hash".to_owned(),
            "java.security.auth.login.config=/jaas.conf".to_owned(),
            "zookeeper.superUser=joe".to_owned(),
        ],
        ..Sources::default()
    };
    let cfg = parse(&sources).expect("good");
    assert_eq!(cfg.settings.super_digest.as_deref(), Some("super:hash"));
    assert_eq!(cfg.settings.super_user.as_deref(), Some("joe"));
    assert_eq!(cfg.settings.sasl_users["joe"], "secret");
    assert_eq!(cfg.settings.required_schemes, ["sasl"]);
    assert_eq!(cfg.warnings.len(), 1, "{:?}", cfg.warnings);
    assert!(cfg.warnings[0].starts_with("zoo.cfg:4: authProvider.2 has no effect"));
    let malformed = Sources { jaas: Some(("jaas.conf", "Server {")), ..sources };
    assert!(parse(&malformed).expect_err("cut off").join("").starts_with("jaas.conf:1:"));
}

#[test]
fn a_key_without_effect_is_named_with_its_line() {
    let text = "dataDir=/d\nclientPort=2181\nforceSync=no\nmadeUp=1\nextendedTypesEnabled=true\n";
    let cfg = with(text, None).expect("it starts");
    assert!(cfg.settings.extended_types);
    let warnings = cfg.warnings;
    assert_eq!(warnings.len(), 2);
    assert!(warnings[0].starts_with("zoo.cfg:3: forceSync has no effect"), "{warnings:?}");
    assert!(warnings[1].starts_with("zoo.cfg:4: madeUp has no effect: no such key"), "{warnings:?}");
}

#[test]
fn dangerous_and_wrong_keys_are_errors_with_their_lines() {
    let cases = [
        ("clientPort=2181\n", None, "dataDir is missing"),
        ("dataDir=/d\n", None, "clientPort is missing"),
        ("dataDir=/d\nclientPort=x\n", None, "zoo.cfg:2: clientPort=x is not a number from 1 to 65535"),
        ("dataDir=/d\nclientPort=1\ntickTime=0\n", None, "zoo.cfg:3: tickTime=0"),
        ("dataDir=/d\nclientPort=1\nskipACL=yes\n", None, "zoo.cfg:3: skipACL=yes is not served"),
        ("dataDir=/d\nclientPort=1\nquorumListenOnAllIPs=maybe\n", None, "neither true nor false"),
        (
            "dataDir=/d\nclientPort=1\nminSessionTimeout=9\nmaxSessionTimeout=8\n",
            None,
            "above maxSessionTimeout",
        ),
        ("dataDir=/d\nclientPort=1\nserver.1=h:1:2\n", Some("1"), "initLimit is missing"),
        (
            "dataDir=/d\nclientPort=1\ninitLimit=1\nsyncLimit=1\nserver.1=h:1\n",
            Some("1"),
            "zoo.cfg:5: server.1",
        ),
        (
            "dataDir=/d\nclientPort=1\ninitLimit=1\nsyncLimit=1\nserver.1=h:1:2:observer\n",
            Some("1"),
            "every server is",
        ),
        (
            "dataDir=/d\nclientPort=1\ninitLimit=1\nsyncLimit=1\nserver.1=h:1:2;9\n",
            Some("1"),
            "clientPort is not",
        ),
        (
            "dataDir=/d\nclientPort=1\ninitLimit=1\nsyncLimit=1\ngroup.1=1\n",
            None,
            "zoo.cfg:5: group.1=1 is not served",
        ),
        (ENSEMBLE, None, "myid is missing"),
        (ENSEMBLE, Some("x"), "dataDir/myid: \"x\" is not the number"),
        (ENSEMBLE, Some("255"), "dataDir/myid: 255: the greatest"),
        (
            "dataDir=/d\nclientPort=1\ninitLimit=1\nsyncLimit=1\nserver.300=h:1:2\n",
            Some("1"),
            "server.300: the greatest",
        ),
        (ENSEMBLE, Some("9"), "there is no server.9"),
    ];
    for (text, myid, reason) in cases {
        let errors = errors(text, myid);
        assert!(errors.contains(reason), "{text}: {errors}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    assert_eq!(
        errors("dataDir=/d\nclientPort=1\ntickTime=x\nmaxClientCnxns=y\nskipACL=yes\n", None).lines().count(),
        3
    );
}
