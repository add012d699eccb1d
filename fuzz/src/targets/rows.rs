//! Rows, what is compiled from them, and every question to it, beside a model that keeps the
//! rows as they are and searches all of them.

use std::cmp::Reverse;

use sipwarden::address::{Address, Prefix};
use sipwarden::countries::{CountryCode, CountryNetworks};
use sipwarden::limiter::ClassId;
use sipwarden::snapshot::{SourceKind, View, compile};
use sipwarden::tables::{BadRows, MinPrefix, Table};

use super::bytes::Bytes;
use super::looks::look;
use super::tables_file::{is_kept, loader};

struct Company {
    id: String,
    brand: (String, u32),
    filter: u32,
    calls: u32,
    ranges: Vec<Prefix>,
    countries: Vec<CountryCode>,
}

#[derive(Default)]
struct Model {
    brands: Vec<(String, u32)>,
    companies: Vec<Company>,
    /// AoR, place of the company, calls from elsewhere.
    users: Vec<(String, usize, u32)>,
    trusted: Vec<(Prefix, Option<ClassId>)>,
    networks: Vec<(Prefix, CountryCode)>,
}

const MIN: MinPrefix = MinPrefix { v4: 16, v6: 32 };

pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    match input.below(4) {
        0 => any_rows(input),
        _ => model(input),
    }
}

/// Rows of any bytes: loaded or bad.
fn any_rows(mut input: Bytes<'_>) {
    let mut loader = loader(BadRows::Skip);
    let mut at = 0;
    while !input.is_empty() {
        // In the order of the tables, mostly.
        at = if input.one_in(4) { at + 1 } else { at };
        let table = Table::ALL[at % Table::ALL.len()];
        let count = table.columns().len() - usize::from(input.one_in(64));
        let values: Vec<_> = (0..count).map(|_| (!input.one_in(8)).then(|| input.some())).collect();
        loader.row(table, &values);
    }
    let Ok((config, problems)) = loader.finish() else { panic!("bad rows are to be left out") };
    for problem in problems.kept() {
        assert!(!problem.to_string().chars().any(char::is_control), "{problem}");
    }
    let blob = compile(config, [1, 2], 0).unwrap();
    let view = View::new(blob.bytes()).unwrap();
    look(&view, &[Address::V4(0xc000_0207), Address::V6(1)]);
    is_kept(&view);
}

/// A prefix among few, so that many overlap.
fn prefix(input: &mut Bytes<'_>) -> Prefix {
    let [a, b] = input.array::<2>();
    match input.below(3) {
        0 => Address::V6(0x2001_0db8 << 96 | u128::from(a % 4) << 90 | u128::from(b % 4))
            .prefix_of(input.of(&[0, 1, 31, 32, 33, 36, 48, 64, 127, 128])),
        1 => Address::V4(0x0a00_0000 | u32::from(a % 4) << 14 | u32::from(b))
            .prefix_of(input.of(&[0, 7, 8, 15, 16, 17, 18, 24, 31, 32])),
        _ => Address::V4(u32::MAX << 16 | u32::from(a) << 8 | u32::from(b))
            .prefix_of(16 + input.below(17) as u8),
    }
}

fn country(input: &mut Bytes<'_>) -> CountryCode {
    CountryCode::parse(input.of(&[b"AA", b"ES", b"FR", b"ZZ"])).unwrap()
}

/// One of few names, some of them longer than a record has room for.
fn name(input: &mut Bytes<'_>) -> String {
    let n = input.below(12);
    if n % 3 == 2 { format!("{n}-{}", "x".repeat(20 + n)) } else { format!("n{n}") }
}

fn model(mut input: Bytes<'_>) {
    let mut loader = loader(BadRows::Skip);
    let mut model = Model::default();
    let is_kept_too = input.0.len() % 4 == 3;
    let mut row = |table: Table, values: &[&str]| {
        let values: Vec<_> = values.iter().map(|value| Some(value.as_bytes())).collect();
        loader.row(table, &values);
    };
    for _ in 0..1 + input.below(4) {
        let (id, calls) = (name(&mut input), u32::from(input.byte()));
        row(Table::Brand, &[&id, &calls.to_string()]);
        if model.brands.iter().all(|(known, _)| *known != id) {
            model.brands.push((id, calls));
        }
    }
    for _ in 0..1 + input.below(8) {
        let (id, brand) = (name(&mut input), name(&mut input));
        let (filter, calls) = (input.below(4) as u32, u32::from(input.byte()));
        row(Table::Company, &[&id, &brand, &filter.to_string(), &calls.to_string()]);
        let known = model.companies.iter().any(|company| company.id == id);
        let brand = model.brands.iter().find(|(known, _)| *known == brand);
        let Some(brand) = brand.filter(|_| !known && filter < 3).cloned() else { continue };
        let (ranges, countries) = (Vec::new(), Vec::new());
        model.companies.push(Company { id, brand, filter, calls, ranges, countries });
    }
    // So many that index levels are needed, and no more: all is compared with all.
    for _ in 0..100 {
        if input.is_empty() {
            break;
        }
        let Some(at) = model.companies.len().checked_sub(1).map(|last| input.below(last + 1))
        else {
            break;
        };
        let company = &mut model.companies[at];
        match input.below(8) {
            0..=3 => {
                let range = prefix(&mut input);
                row(
                    Table::CompanyAddress,
                    &[&company.id, &range.to_string(), &range.mask().to_string()],
                );
                company.ranges.push(range);
            }
            4 => {
                let code = country(&mut input);
                row(Table::CompanyCountry, &[&company.id, code.name()]);
                company.countries.push(code);
            }
            5 => {
                let (aor, calls) = (name(&mut input) + "@x", input.below(5) as u32);
                row(Table::User, &[&aor, &company.id, &calls.to_string()]);
                if calls <= 3 && model.users.iter().all(|(known, ..)| *known != aor) {
                    model.users.push((aor, at, calls));
                }
            }
            6 => {
                let (range, is_carrier) = (prefix(&mut input), input.one_in(2));
                let (tag, class) =
                    if is_carrier { ("carrier", Some(ClassId(1))) } else { ("exempt", None) };
                row(Table::Trusted, &[&range.to_string(), &range.mask().to_string(), tag]);
                // The first row of a prefix holds; others are bad or the same.
                if model.trusted.iter().all(|(known, _)| *known != range) {
                    model.trusted.push((range, class));
                }
            }
            _ => {
                let range = prefix(&mut input);
                let code = country(&mut input);
                if model.networks.iter().all(|(known, _)| *known != range) {
                    model.networks.push((range, code));
                }
            }
        }
    }
    let Ok((config, _)) = loader.networks(model.networks()).finish() else { panic!("bad rows") };
    let blob = compile(config, [u64::from(data_mark(&model)), 2], 0).unwrap();
    let view = View::new(blob.bytes()).unwrap();
    let probes = model.probes();
    model.sort();
    model.compare(&view, &probes);
    if is_kept_too {
        is_kept(&view);
    }
}

/// A key of the hash that differs from run to run of the fuzzer, and not between two of one input.
fn data_mark(model: &Model) -> u32 {
    model.companies.iter().map(|company| company.calls).sum()
}

impl Model {
    fn networks(&self) -> CountryNetworks {
        let mut all = CountryNetworks { built: 1, ..Default::default() };
        for (range, code) in &self.networks {
            let at = all.codes.iter().position(|known| known == code).unwrap_or_else(|| {
                all.codes.push(*code);
                all.codes.len() - 1
            });
            match *range {
                Prefix::V4(bits, len) => all.v4.push((bits, len, at as u8 + 1)),
                Prefix::V6(bits, len) => all.v6.push((bits, len, at as u8 + 1)),
            }
        }
        all
    }

    /// Both ends of each prefix, and their neighbours.
    fn probes(&self) -> Vec<Address> {
        let ranges = self.companies.iter().flat_map(|company| &company.ranges);
        let others = self.trusted.iter().map(|(range, _)| range);
        let networks = self.networks.iter().map(|(range, _)| range);
        let mut probes = vec![Address::V4(0), Address::V6(0), Address::V6(u128::MAX)];
        for range in ranges.chain(others).chain(networks).take(40) {
            for edge in [range.first(), range.last()] {
                probes.push(edge);
                probes.extend([-1i8, 1].map(|by| match edge {
                    Address::V4(bits) => Address::V4(bits.wrapping_add_signed(by.into())),
                    Address::V6(bits) => Address::V6(bits.wrapping_add_signed(by.into())),
                }));
            }
        }
        // IPv4 in IPv6 is IPv4.
        probes.retain(|probe| !matches!(probe, Address::V6(bits) if bits >> 32 == 0xffff));
        probes.sort_unstable();
        probes.dedup();
        probes
    }

    /// Ranges of companies from broad to narrow, others from narrow to broad: the first one that
    /// has an address is the one that holds.
    fn sort(&mut self) {
        for company in &mut self.companies {
            company.ranges.sort_by_key(Prefix::mask);
        }
        self.trusted.sort_by_key(|(range, _)| Reverse(range.mask()));
        self.networks.sort_by_key(|(range, _)| Reverse(range.mask()));
    }

    fn kind(&self, probe: Address) -> SourceKind {
        let has = |range: &Prefix| range.distance(probe) == Some(0);
        if let Some((_, class)) = self.trusted.iter().find(|(range, _)| has(range)) {
            return SourceKind::Trusted(*class);
        }
        let filtered = self.companies.iter().filter(|company| company.filter > 0);
        let mut ranges = filtered.flat_map(|company| &company.ranges);
        match ranges.any(|range| has(range) && !MIN.is_longer_than(range)) {
            true => SourceKind::Company,
            false => SourceKind::Anybody,
        }
    }

    fn country(&self, probe: Address) -> Option<CountryCode> {
        let mut networks = self.networks.iter();
        networks.find(|(range, _)| range.distance(probe) == Some(0)).map(|(_, code)| *code)
    }

    fn compare(&self, view: &View<'_>, probes: &[Address]) {
        assert_eq!(view.companies().count(), self.companies.len());
        assert_eq!(view.brands().count(), self.brands.len());
        let kinds: Vec<_> = probes.iter().map(|probe| self.kind(*probe)).collect();
        let countries: Vec<_> = probes.iter().map(|probe| self.country(*probe)).collect();
        for (probe, (kind, country)) in probes.iter().zip(kinds.iter().zip(&countries)) {
            assert_eq!(view.source_kind(*probe), *kind, "{probe}");
            assert_eq!(view.country_of(*probe), *country, "{probe}");
        }
        for pair in probes.windows(2).zip(kinds.windows(2)).take(40) {
            let (&[one, other], &[a, b]) = pair else { continue };
            for len in [0, 8, 16, 24, 31, 32, 48, 64, 127] {
                let range = one.prefix_of(len);
                let differ = a != b && range.distance(other) == Some(0);
                assert!(!differ || view.divides(range), "{range} has {one} and {other}");
            }
        }
        for n in 0..12 {
            let id =
                if n % 3 == 2 { format!("{n}-{}", "x".repeat(20 + n)) } else { format!("n{n}") };
            let known = self.companies.iter().find(|company| company.id == id);
            assert_eq!(view.company(id.as_bytes()).is_some(), known.is_some(), "{id}");
            let aor = id + "@x";
            let known = self.users.iter().find(|(own, ..)| *own == aor);
            let found = view.user(aor.as_bytes());
            let found = found.map(|user| (user.company.id().to_vec(), user.external_calls));
            let known =
                known.map(|(_, at, calls)| (self.companies[*at].id.clone().into_bytes(), *calls));
            assert_eq!(found, known, "{aor}");
        }
        for company in &self.companies {
            company.compare(view, probes, &countries);
        }
    }
}

impl Company {
    fn compare(&self, view: &View<'_>, probes: &[Address], countries: &[Option<CountryCode>]) {
        let found = view.company(self.id.as_bytes()).unwrap();
        assert_eq!(found.id(), self.id.as_bytes());
        assert_eq!(found.brand(), (self.brand.0.as_bytes(), self.brand.1));
        assert_eq!((found.ip_filter(), found.monitor()), (self.filter > 0, self.filter == 2));
        assert_eq!(found.max_calls(), self.calls);
        assert_eq!(found.lists_anything(), !self.ranges.is_empty() || !self.countries.is_empty());
        let mut codes = self.countries.clone();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(found.countries(), codes);
        for (probe, country) in probes.iter().zip(countries) {
            // Of ranges within each other the broadest one is kept.
            let broadest = self.ranges.iter().find(|range| range.distance(*probe) == Some(0));
            let broadest = broadest.copied();
            assert_eq!(found.range_of(*probe), broadest, "{probe}");
            if let Some((place, range)) = found.locate(*probe) {
                let place = place as usize - found.first_range();
                assert_eq!(found.ranges().nth(place), Some(range));
            }
            let country = country.filter(|code| codes.contains(code));
            assert_eq!(found.country_granted(*probe), country, "{probe}");
        }
    }
}
