//! Tests of the loader.

use super::*;
use crate::address::Address;

fn names() -> [String; Table::ALL.len()] {
    Table::ALL.map(|t| t.short_name().to_owned())
}

fn load(bad_rows: BadRows, rows: &[(Table, &[Column<'_>])]) -> Loader {
    let mut classes = ClassNames::default();
    classes.add("carrier".into()).unwrap();
    let mut loader = Loader::new(names(), bad_rows).flood(classes, MinPrefix::default());
    loader.row(Table::Brand, &[Some(b"b1"), Some(b"10")]);
    loader.row(Table::Company, &[Some(b"c1"), Some(b"b1"), Some(b"1"), None]);
    for (table, values) in rows {
        loader.row(*table, values);
    }
    loader
}

fn error(table: Table, values: &[Column<'_>]) -> String {
    match load(BadRows::Fail, &[(table, values)]).finish() {
        Ok(_) => panic!("{table:?} was taken"),
        Err(problems) => problems.kept()[0].to_string(),
    }
}

#[test]
fn each_kind_of_bad_row_is_named() {
    let long = vec![b'x'; 65536];
    let cases: &[(Table, &[Column<'_>], &str)] = &[
        (Table::Brand, &[Some(b"b1"), None], "brands row 2: id \"b1\" stands twice"),
        (Table::Brand, &[None, None], "id is NULL"),
        (Table::Brand, &[Some(b""), None], "id is empty"),
        (Table::Brand, &[Some(b"<null>"), None], "id \"<null>\""),
        (Table::Brand, &[Some(&long), None], "is longer than 128 bytes"),
        (
            Table::Brand,
            &[Some(b"2"), Some(b"-1")],
            "max_calls \"-1\" is not a number from 0 to 2147483647 (brand \"2\")",
        ),
        (Table::Brand, &[Some(b"2"), Some(b"2147483648")], "max_calls \"2147483648\""),
        (Table::Company, &[Some(b"2"), Some(b"zz"), None, None], "brand_id \"zz\" is not a brand"),
        (Table::Company, &[Some(b"2"), Some(b"b1"), Some(b"3"), None], "ip_filter \"3\""),
        (Table::Company, &[Some(b"c1"), Some(b"b1"), None, None], "id \"c1\" stands twice"),
        (Table::Company, &[Some(b"None"), Some(b"b1"), None, None], "id \"None\" is what"),
        (Table::Company, &[Some(b"2"), Some(b"b1"), None, Some(b"ten")], "max_calls \"ten\""),
        (
            Table::CompanyAddress,
            &[Some(b"c9"), Some(b"192.0.2.1"), None],
            "\"c9\" is not a company",
        ),
        (
            Table::CompanyAddress,
            &[Some(b"c1"), Some(b"192.0.2.300"), None],
            "ranges row 1: ip_addr \"192.0.2.300\": is not an IP address (company \"c1\")",
        ),
        (Table::CompanyAddress, &[Some(b"c1"), None, None], "ip_addr NULL"),
        (Table::CompanyAddress, &[Some(b"c1"), Some(b"192.0.2.1"), Some(b"24")], "host bits"),
        (Table::CompanyAddress, &[Some(b"c1"), Some(b"\xff\n"), None], "\"\\xff\\n\""),
        (Table::CompanyCountry, &[Some(b"c1"), Some(b"es")], "country \"es\""),
        (Table::CompanyCountry, &[Some(b"c1"), None], "country NULL"),
        (Table::User, &[Some(b"u@d"), Some(b"c1"), Some(b"4")], "external_calls \"4\""),
        (Table::User, &[Some(b"u@d"), Some(b"c2"), None], "company_id \"c2\""),
        (
            Table::Trusted,
            &[Some(b"192.0.2.1"), None, Some(b"carier")],
            "trusted row 1: 192.0.2.1/32: tag \"carier\" is not one of exempt, default, carrier",
        ),
        (Table::Trusted, &[Some(b"192.0.2.1"), None, Some(&long)], "tag \"xxx"),
        (Table::Trusted, &[Some(b"x"), None, None], "ip_addr \"x\""),
        (Table::Brand, &[Some(b"2")], "1 columns where 2"),
        // What MariaDB gives of UUID, BIT and INET6.
        (
            Table::Brand,
            &[Some(b"\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00"), None],
            "is not text (UTF-8); cast it in a view: CAST(id AS CHAR)",
        ),
        (Table::User, &[Some(b"u\xe9@d"), Some(b"c1"), None], "CAST(aor AS CHAR)"),
        (Table::User, &[Some(b"u@d"), Some(b"c\0"), None], "CAST(company_id AS CHAR)"),
        (
            Table::User,
            &[Some(b"u@d"), Some(b"c1"), Some(b"\x01")],
            "CAST(external_calls AS UNSIGNED)",
        ),
        (Table::Brand, &[Some(b"2"), Some(b"\x00\x07")], "CAST(max_calls AS UNSIGNED)"),
        (
            Table::Company,
            &[Some(b"2"), Some(b"b1"), Some(b"\x03"), None],
            "CAST(ip_filter AS UNSIGNED)",
        ),
        (
            Table::Company,
            &[Some(b"2"), Some(b"b1"), Some(b"yes"), None],
            "ip_filter \"yes\" is not",
        ),
        (
            Table::CompanyAddress,
            &[Some(b"c1"), Some(b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"), None],
            "is not an IP address; cast it in a view: CAST(ip_addr AS CHAR)",
        ),
    ];
    for (table, values, what) in cases {
        let got = error(*table, values);
        assert!(got.contains(what), "{got} lacks {what}");
        assert!(got.len() < 400, "{}", got.len());
    }
}

#[test]
fn skipping_keeps_the_good_rows() {
    let rows: &[(Table, &[Column<'_>])] = &[
        (Table::CompanyAddress, &[Some(b"c1"), Some(b"bad"), None]),
        (Table::CompanyAddress, &[Some(b"c1"), Some(b"192.0.2.1"), None]),
    ];
    let loader = load(BadRows::Skip, rows);
    let Ok((config, problems)) = loader.finish() else { panic!("failed") };
    assert_eq!(problems.count(), 1);
    assert_eq!(config.ranges_v4.len(), 1);
    assert_eq!(config.rows[Table::CompanyAddress.index()], 2);
}

#[test]
fn only_twenty_problems_are_kept_and_all_counted() {
    let mut loader = load(BadRows::Fail, &[]);
    for _ in 0..1000 {
        loader.row(Table::Brand, &[None, None]);
    }
    let Err(problems) = loader.finish() else { panic!("taken") };
    assert_eq!((problems.kept().len(), problems.count()), (20, 1000));
}

#[test]
fn suspicious_rows_are_warned_of() {
    let rows: &[(Table, &[Column<'_>])] = &[
        (Table::Company, &[Some(b"c2"), Some(b"b1"), Some(b"1"), None]),
        (Table::Company, &[Some(b"c3"), Some(b"b1"), Some(b"1"), None]),
        (Table::Company, &[Some(b"c4"), Some(b"b1"), None, None]),
        (Table::CompanyAddress, &[Some(b"c1"), Some(b"0.0.0.0/0"), None]),
        (Table::CompanyAddress, &[Some(b"c1"), Some(b"172.16.0.0/12"), None]),
        (Table::CompanyAddress, &[Some(b"c1"), Some(b"172.17.0.0/16"), None]),
        (Table::CompanyAddress, &[Some(b"c4"), Some(b"172.16.0.0/12"), None]),
        (Table::CompanyAddress, &[Some(b"c1"), Some(b"2001:db8::/31"), None]),
        (Table::CompanyCountry, &[Some(b"c3"), Some(b"ES")]),
        (Table::User, &[Some(b"alice@d"), Some(b"c1"), Some(b"1")]),
        (Table::User, &[Some(b"bob"), Some(b"c1"), Some(b"1")]),
        (Table::User, &[Some(b"carol@"), Some(b"c1"), Some(b"1")]),
        (Table::Trusted, &[Some(b"10.0.0.0/15"), None, None]),
        (Table::Trusted, &[Some(b"12.0.0.0/15"), None, Some(b"carrier")]),
        (Table::Trusted, &[Some(b"12.0.0.0/15"), None, Some(b"carrier")]),
    ];
    let Ok((config, _)) = load(BadRows::Fail, rows).finish() else { panic!("failed") };
    let texts: Vec<_> = config.warnings.kept().iter().map(|p| p.to_string()).collect();
    let expected = [
        "company \"c4\": ip_filter is NULL",
        "company \"c1\": 0.0.0.0/0 grants every",
        "company \"c1\": 0.0.0.0/0 is broader than flood_exempt_prefix",
        "company \"c1\": 172.16.0.0/12 is broader",
        "company \"c1\": 2001:db8::/31 is broader",
        "trusted row 1: 10.0.0.0/15 exempts so many",
        "row 2: company \"c2\": filter on, nothing listed",
        "row 3: company \"c3\": filter on, only countries listed",
        "countries row 1: country ES grants nothing: geoip_db is not set",
        "users row 2: aor \"bob\" has no domain: write user@domain if the script asks for that (2 \
         such rows)",
    ];
    assert_eq!(texts.len(), expected.len(), "{texts:?}");
    for (text, expected) in texts.iter().zip(expected) {
        assert!(text.contains(expected), "{text} lacks {expected}");
    }
}

/// A tenant with many ranges could exempt the world, though each of them is narrow enough.
#[test]
fn many_ranges_that_exempt_as_much_as_a_broad_one_are_warned_of() {
    let said = |ranges: &[String]| {
        let mut loader = load(BadRows::Fail, &[]);
        ranges.iter().for_each(|range| {
            loader.row(Table::CompanyAddress, &[Some(b"c1"), Some(range.as_bytes()), None]);
        });
        let Ok((config, _)) = loader.finish() else { panic!("failed") };
        let texts = config.warnings.kept().iter().map(Problem::to_string);
        texts.filter(|text| text.contains("exempt as many")).collect::<Vec<_>>()
    };
    let v4 = |of: &dyn Fn(u32) -> String, count| (0..count).map(of).collect::<Vec<_>>();
    // As much as one range may have, and what is within it.
    let whole = ["12.1.0.0/17", "12.1.128.0/17", "12.1.7.0/24", "12.1.0.0/17"];
    assert_eq!(said(&whole.map(str::to_owned)), [""; 0]);
    let told = said(&v4(&|n| format!("12.{n}.0.0/16"), 16));
    assert_eq!(told.len(), 1);
    assert!(told[0].ends_with(
        "company \"c1\": its IPv4 ranges exempt as many addresses from flood control as a /12 has"
    ));
    let world = v4(&|n| format!("{}.{}.0.0/16", n / 256, n % 256), 65_536);
    assert!(said(&world)[0].ends_with("as a /0 has"));
    let told = said(&v4(&|n| format!("2001:{n:x}::/32"), 4));
    assert!(told[0].contains("its IPv6 ranges") && told[0].ends_with("as a /30 has"), "{told:?}");
}

#[test]
fn an_address_with_two_tags_is_bad() {
    let rows: &[(Table, &[Column<'_>])] = &[
        (Table::Trusted, &[Some(b"192.0.2.1"), None, Some(b"carrier")]),
        (Table::Trusted, &[Some(b"::ffff:192.0.2.1"), Some(b"128"), Some(b"exempt")]),
    ];
    let Err(problems) = load(BadRows::Fail, rows).finish() else { panic!("taken") };
    let text = problems.kept()[0].to_string();
    assert!(text.contains("row 2: 192.0.2.1/32 stands twice"), "{text}");
}

/// A row that was refused is not taken when it comes again.
#[test]
fn the_first_tag_holds_where_bad_rows_are_left_out() {
    let tags = ["carrier", "exempt", "exempt", "carrier"];
    for address in ["192.0.2.1", "trunk.example"] {
        let rows = tags.map(|tag| [Some(address.as_bytes()), None, Some(tag.as_bytes())]);
        let rows: Vec<_> = rows.iter().map(|row| (Table::Trusted, &row[..])).collect();
        let answers = [(b"trunk.example"[..].into(), vec![Address::V4(0xc000_0201)])];
        let mut loader =
            load(BadRows::Skip, &[]).host_names(HostNames::new(1, answers.into_iter().collect()));
        rows.iter().for_each(|(table, values)| loader.row(*table, values));
        let Ok((config, problems)) = loader.finish() else { panic!("not left out") };
        let numbers: Vec<_> = problems.kept().iter().map(|problem| problem.row).collect();
        assert_eq!(numbers, [2, 3], "{address}");
        let classes: Vec<_> = config.trusted.iter().map(|trusted| trusted.class).collect();
        assert!(!classes.is_empty() && classes.iter().all(|class| *class == Some(ClassId(1))));
    }
}

#[test]
fn a_filter_may_be_a_boolean() {
    for (value, on, watched) in [
        (&b"0"[..], false, false),
        (b"1", true, false),
        (b"2", true, true),
        (b"t", true, false),
        (b"f", false, false),
        (b"true", true, false),
        (b"FALSE", false, false),
        (b"\x00", false, false),
        (b"\x01", true, false),
        (b"\x02", true, true),
    ] {
        let row: &[Column<'_>] = &[Some(b"c2"), Some(b"b1"), Some(value), None];
        let Ok((config, _)) = load(BadRows::Fail, &[(Table::Company, row)]).finish() else {
            panic!("{value:?}")
        };
        let company = &config.companies[1];
        assert_eq!((company.ip_filter, company.monitor), (on, watched), "{value:?}");
    }
}

#[test]
fn null_numbers_are_zero_and_a_null_filter_is_off() {
    let row: &[Column<'_>] = &[Some(b"c2"), Some(b"b1"), None, None];
    let Ok((config, _)) = load(BadRows::Fail, &[(Table::Company, row)]).finish() else {
        panic!("failed")
    };
    assert!(!config.companies[1].ip_filter);
    assert_eq!(config.companies[1].max_calls, 0);
}

#[test]
fn reserved_slots_that_are_cut_and_limits_of_nobody_are_warned_of() {
    fn of<'a>(
        kind: &'a [u8],
        id: &'a [u8],
        direction: &'a [u8],
        calls: &'a [u8],
    ) -> [Column<'a>; 10] {
        let reserved: &[u8] = b"5";
        let (kind, id, direction) = (Some(kind), Some(id), Some(direction));
        [kind, id, direction, Some(calls), None, None, Some(reserved), None, None, None]
    }
    let small = [Some(&b"small"[..]), Some(b"b1"), None, Some(b"7")];
    let tiny = [Some(&b"tiny"[..]), Some(b"b1"), None, Some(b"3")];
    let loader = load(
        BadRows::Fail,
        &[
            (Table::Company, &small),
            (Table::Company, &tiny),
            (Table::Limit, &of(b"company", b"*", b"any", b"10")),
            (Table::Limit, &of(b"company", b"small", b"in", b"10")),
            (Table::Limit, &of(b"brand", b"b1", b"any", b"12")),
            (Table::Limit, &of(b"company", b"gone", b"any", b"10")),
            (Table::Limit, &of(b"carrier", b"north", b"any", b"10")),
            (Table::Limit, &of(b"company", b"c1", b"any", b"10")),
        ],
    );
    let Ok((config, _)) = loader.finish() else { panic!("bad rows") };
    let texts: Vec<_> = config.warnings.kept().iter().map(|p| p.to_string()).collect();
    let of_limits: Vec<_> = texts.iter().filter(|text| text.starts_with("limits")).collect();
    assert_eq!(
        of_limits,
        [
            "limits row 1: company \"small\": 2 of 5 reserved slots can be used, since its own \
             max_calls 7 is lower than 10 (and 1 more like it)",
            "limits row 3: brand \"b1\": 3 of 5 reserved slots can be used, since its own max_calls \
             10 is lower than 12",
            "limits row 4: company \"gone\" is not known, so nothing is limited",
        ]
    );
}

#[test]
fn rows_that_undo_others_or_leave_slots_to_emergencies_only_are_warned_of() {
    fn of<'a>(kind: &'a str, id: &'a str, calls: &'a str, more: [&'a str; 3]) -> [Column<'a>; 10] {
        let [new, reserved, near] = more;
        let window = if new.is_empty() { "" } else { "1" };
        let values = [kind, id, "any", calls, new, window, reserved, "", near, ""];
        values.map(|value| (!value.is_empty()).then_some(value.as_bytes()))
    }
    let loader = load(
        BadRows::Fail,
        &[
            (Table::Limit, &of("company", "*", "", ["5", "", ""])),
            (Table::Limit, &of("company", "c1", "", ["", "", "50"])),
            (Table::Limit, &of("brand", "b1", "", ["", "", "50"])),
            (Table::Limit, &of("carrier", "*", "8", ["", "8", ""])),
            (Table::Limit, &of("carrier", "free", "", ["", "", ""])),
            (Table::Limit, &of("carrier", "own", "9", ["", "", "50"])),
            (Table::Limit, &of("user", "bob@d", "9", ["", "", ""])),
            (Table::Limit, &of("user", "bob", "9", ["", "", ""])),
            (Table::Limit, &of("user", "eve", "9", ["", "", ""])),
        ],
    );
    let Ok((config, _)) = loader.finish() else { panic!("bad rows") };
    let texts: Vec<_> = config.warnings.kept().iter().map(|p| p.to_string()).collect();
    let of_limits: Vec<_> = texts.iter().filter(|text| text.starts_with("limits")).collect();
    assert_eq!(
        of_limits,
        [
            "limits row 2: company \"c1\": this row has only near_percent, and takes the place of the \
             row \"*\" with its limits (repeat them here)",
            "limits row 4: carrier \"*\": all of its 8 slots are reserved: only emergencies pass",
            "limits row 8: user \"bob\" has no domain: write user@domain if the script asks for that \
             (2 such rows)",
        ]
    );
}
