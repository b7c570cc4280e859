use super::*;
use domain::base::iana::Class as C;
use domain::base::rdata::ComposeRecordData;
use domain::rdata::{Cname, Txt};
use rxbox_tests::random::Random;

const ID: u16 = 0x1234;

fn name(text: &str) -> Name<Vec<u8>> {
    Name::vec_from_str(text).unwrap()
}

/// A server's message about `asked`.
struct Said(domain::base::message_builder::AnswerBuilder<Vec<u8>>);

impl Said {
    fn about(asked: &str, family: Family) -> Said {
        let mut message = MessageBuilder::new_vec();
        message.header_mut().set_id(ID);
        message.header_mut().set_qr(true);
        let mut message = message.question();
        message.push((name(asked), family.kind())).unwrap();
        Said(message.answer())
    }

    fn with(mut self, owner: &str, ttl: u32, data: impl ComposeRecordData) -> Said {
        self.0.push((name(owner), C::IN, Ttl::from_secs(ttl), data)).unwrap();
        self
    }

    fn a(self, owner: &str, ttl: u32, address: [u8; 4]) -> Said {
        self.with(owner, ttl, A::new(address.into()))
    }

    fn alias(self, owner: &str, ttl: u32, to: &str) -> Said {
        self.with(owner, ttl, Cname::new(name(to)))
    }

    fn bytes(self) -> Vec<u8> {
        self.0.finish()
    }
}

fn read(said: Said) -> Option<Reply> {
    reply(&said.bytes(), ID, "api.example.org", Family::V4)
}

fn leads(said: Said) -> (Vec<String>, u32) {
    match read(said) {
        Some(Reply::Answer(answer, _)) => {
            (answer.addresses.iter().map(ToString::to_string).collect(), answer.ttl)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_question_to_a_server_is_made_anew_and_a_guest_gets_its_own_back() {
    let mut asked = MessageBuilder::new_vec();
    asked.header_mut().set_id(7);
    asked.header_mut().set_rd(true);
    asked.header_mut().set_cd(true);
    let mut asked = asked.question();
    asked.push((name("aPi.ExAmPlE.org"), Rtype::A)).unwrap();
    let query = Query::read(&asked.finish()).unwrap();
    assert_eq!((query.host().as_deref(), query.family()), (Some("api.example.org"), Some(Family::V4)));
    let sent = question(ID, "api.example.org", Family::V4).unwrap();
    let sent = Message::from_octets(&sent).unwrap();
    assert_eq!((sent.header().id(), sent.header().cd()), (ID, false));
    assert_eq!(sent.sole_question().unwrap().qname().to_string(), "api.example.org");
    let answer = query.answer(&Answer::found(vec![[192, 0, 2, 7].into()], 60), false);
    let answer = Message::from_octets(&answer).unwrap();
    assert_eq!((answer.header().id(), answer.header().qr()), (7, true));
    assert_eq!(answer.sole_question().unwrap().qname().to_string(), "aPi.ExAmPlE.org");
    assert_eq!(answer.header_counts().ancount(), 1);
}

#[test]
fn an_answer_that_does_not_fit_says_so_and_is_whole_on_a_connection() {
    let mut asked = MessageBuilder::new_vec().question();
    asked.push((name("api.example.org"), Rtype::AAAA)).unwrap();
    let query = Query::read(&asked.finish()).unwrap();
    let many = Answer::found((0..32).map(|n| IpAddr::from([n as u16; 8])).collect(), 60);
    let cut = query.answer(&many, false);
    assert!(cut.len() <= LEAST_ROOM && Message::from_octets(&cut).unwrap().header().tc());
    let mut whole = query.answer(&many, true);
    let whole = unframed(&mut whole).unwrap();
    assert_eq!(Message::from_octets(&whole).unwrap().header_counts().ancount(), 32);
}

#[test]
fn addresses_are_those_that_the_name_leads_to_and_no_others() {
    let api = "api.example.org";
    let about = || Said::about(api, Family::V4);
    let one = (vec!["192.0.2.7".to_owned()], 60);
    assert_eq!(leads(about().a(api, 60, [192, 0, 2, 7])), one);
    assert_eq!(leads(about().a("API.example.ORG", 60, [192, 0, 2, 7])), one);
    // Through aliases, in any order, for as long as the shortest of them holds.
    let cdn = about().a("e1.cdn.example", 300, [192, 0, 2, 7]).alias("x.cdn.example", 60, "e1.cdn.example");
    assert_eq!(leads(cdn.alias(api, 90, "x.cdn.example")), one);
    // What nobody asked for.
    let other = about().a(api, 60, [192, 0, 2, 7]).a("other.example.org", 60, [192, 0, 2, 8]);
    assert_eq!(leads(other.with(api, 60, Txt::<Vec<u8>>::build_from_slice(b"x").unwrap())), one);
    assert_eq!(leads(about().a("other.example.org", 60, [192, 0, 2, 8])), (vec![], 0));
    // An address of the name itself does not count beside an alias.
    assert_eq!(leads(about().alias(api, 60, "x.example").a(api, 60, [192, 0, 2, 7])), (vec![], 60));
    let many = (0..100u8).fold(about(), |said, n| said.a(api, 60, [192, 0, 2, n]));
    assert_eq!(leads(many).0.len(), ADDRESSES);
}

#[test]
fn aliases_in_a_circle_or_too_many_lead_nowhere() {
    let about = || Said::about("api.example.org", Family::V4);
    let circle = about().alias("api.example.org", 60, "b.example").alias("b.example", 60, "api.example.org");
    assert_eq!(leads(circle).0, Vec::<String>::new());
    let link = |n: usize| if n == 0 { "api.example.org".to_owned() } else { format!("n{n}.example") };
    let chain = (0..20).fold(about(), |said, n| said.alias(&link(n), 60, &link(n + 1)));
    assert_eq!(read(chain), Some(Reply::Unable));
}

#[test]
fn what_is_no_answer_to_the_question_is_passed_over() {
    let forged = |id: u16, host: &str, family| {
        let said = Said::about("api.example.org", Family::V4).a("api.example.org", 60, [192, 0, 2, 66]);
        reply(&said.bytes(), id, host, family)
    };
    assert!(forged(ID, "api.example.org", Family::V4).is_some());
    assert_eq!(forged(ID + 1, "api.example.org", Family::V4), None);
    assert_eq!(forged(ID, "other.example.org", Family::V4), None);
    assert_eq!(forged(ID, "api.example.org", Family::V6), None);
    let question = question(ID, "api.example.org", Family::V4).unwrap();
    assert_eq!(reply(&question, ID, "api.example.org", Family::V4), None);
}

#[test]
fn bytes_of_any_kind_are_read_without_harm() {
    let mut random = Random::new(53);
    let good = Said::about("api.example.org", Family::V4)
        .alias("api.example.org", 60, "x.example")
        .a("x.example", 60, [192, 0, 2, 7])
        .bytes();
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..random.below(6) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.below(256) as u8;
        }
        bytes.truncate(random.below(good.len() as u64 + 1) as usize);
        let _ = reply(&bytes, ID, "api.example.org", Family::V4);
        if let Some(query) = Query::read(&bytes) {
            query.host();
            assert!(query.answer(&Answer::empty(Code::NoSuchName), false).len() <= MOST_ROOM);
        }
        while unframed(&mut bytes).is_some() {}
    }
}
