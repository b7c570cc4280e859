fn main() {
    let mut map = std::collections::BTreeMap::new();
    for i in 0..100 {
        map.insert(i * 7 % 31, dep::twice(&format!("{i}")));
    }
    println!("{:?}", map.iter().next());
}
