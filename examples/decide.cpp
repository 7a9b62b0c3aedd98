// Decides one task with a bundle: the host reads files and the clock, the library decides.
//
//     example_decide BUNDLE TASK.json
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <opspilot/opspilot.hpp>
#include <string>

namespace {

std::string content_of(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

int complain(const opspilot::error& problem) {
    std::cerr << problem.text() << '\n';
    return 3;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
        std::cerr << "usage: example_decide BUNDLE TASK.json\n";
        return 2;
    }
    auto bundle = opspilot::bundle::load(content_of(arguments[1]));
    if (!bundle) return complain(bundle.error());

    const opspilot::engine engine(*bundle);  // shared by all threads
    opspilot::workspace scratch;             // one per thread
    opspilot::decision d;                    // reused: nothing is allocated once warm
    const auto now =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    const std::string task = content_of(arguments[2]);
    if (auto done = engine.decide(task, {}, now, scratch, d); !done) return complain(done.error());

    std::cout << opspilot::name(d.verdict) << ' ' << d.action << " (probability " << d.probability << ", threshold "
              << d.threshold << ")\n";
    for (const opspilot::reason& r : d.reasons) std::cout << "  " << r.code << ": " << r.text << '\n';
    if (!d.ranked.empty())
        for (const opspilot::reason& r : d.reasons_of(d.ranked.front())) std::cout << "  " << r.rule << ": " << r.text << '\n';
    return 0;
}
