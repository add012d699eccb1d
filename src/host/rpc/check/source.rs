//! What `check_company_ip` would say.

use super::super::company::filter;
use super::super::names;
use super::words::{alike, tell_verdict};
use crate::address::{Address, Prefix};
use crate::countries::CountryCode;
use crate::host::contract::rpc::Node;
use crate::host::state::sources::judge_source;
use crate::policy::SourceDecision;
use crate::printable::Printable;
use crate::snapshot::{CompanyView, View};
use crate::verdict::Verdict;

/// The verdict on a source, and the rule behind it.
pub struct Foretold<'a> {
    view: &'a View<'a>,
    id: &'a [u8],
    company: Option<CompanyView<'a>>,
    ip: Address,
    decision: SourceDecision,
    nearest: Option<Prefix>,
    country: Option<&'static str>,
}

impl<'a> Foretold<'a> {
    /// Of a company and an address.
    pub fn new(view: &'a View<'a>, id: &'a [u8], ip: Address) -> Self {
        let company = view.company(id);
        Foretold {
            decision: judge_source(company.as_ref(), id, ip, false),
            nearest: company.as_ref().and_then(|company| nearest(company, ip)),
            country: view.country_of(ip).map(CountryCode::name),
            view,
            id,
            company,
            ip,
        }
    }

    /// What the script would be told.
    pub fn verdict(&self) -> Verdict {
        self.decision.verdict
    }

    /// Its fields.
    pub fn tell(&self, reply: &Node<'_>) {
        tell_verdict(reply, self.verdict());
        reply.text(c"meaning", self.verdict().entry().meaning);
        let range = self.decision.range.map_or("none".to_owned(), |range| range.to_string());
        reply.text(c"range", &range);
        let name = self.decision.range.and_then(|range| self.view.name_of(Some(self.id), range));
        if let Some(name) = name {
            reply.text(c"host_name", Printable::full(name));
        }
        if let (None, Some(nearest)) = (self.decision.range, self.nearest) {
            reply.text(c"nearest_range", nearest);
        }
        if self.view.country_networks() > 0 {
            reply.text(c"country", self.country.unwrap_or("unknown"));
        }
    }

    /// The rule.
    pub fn words(&self) -> String {
        let ip = self.ip;
        let Some(company) = &self.company else {
            let alike = alike(self.id, self.view.companies().map(|company| company.id()));
            return format!("there is no company \"{}\"{alike}", Printable::full(self.id));
        };
        if !company.ip_filter() {
            return "the filter is off".into();
        }
        let filter = filter(company);
        let country = self.country.unwrap_or("unknown");
        let count = company.range_count();
        let listed = company.countries().len();
        match (self.decision.range, self.nearest) {
            (Some(source), _) if self.verdict() == Verdict::GrantedTemporarily => {
                format!("filter {filter}, {ip} is in {source}, which a grant allows for now")
            }
            (Some(range), _) => match self.view.name_of(Some(self.id), range) {
                Some(name) => {
                    let name = Printable::full(name);
                    format!("filter {filter}, host name {name} means {ip}")
                }
                None => format!("filter {filter}, {ip} is in {range}"),
            },
            (None, _) if self.decision.country.is_some() => format!(
                "filter {filter}, {ip} is in none of {count} ranges, but in {country}, which is allowed"
            ),
            (None, nearest) => {
                let ranges = match nearest {
                    Some(nearest) => {
                        format!("{ip} is in none of {count} ranges, the nearest is {nearest}")
                    }
                    None => "no range of this address family is listed".into(),
                };
                let countries = match listed {
                    0 => String::new(),
                    _ => format!(", its country ({country}) is not among the {listed} allowed"),
                };
                let names = names::clause(company);
                format!("filter {filter}, {ranges}{countries}{names}")
            }
        }
    }
}

/// The range of a company that is nearest to an address outside of all.
fn nearest(company: &CompanyView<'_>, ip: Address) -> Option<Prefix> {
    let distances = company.ranges().filter_map(|range| Some((range.distance(ip)?, range)));
    distances.min_by_key(|(distance, _)| *distance).map(|(_, range)| range)
}
