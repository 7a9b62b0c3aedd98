// Files with one fault each, made by make_tree_mutants.py and make_lightgbm_mutants.py, and the error each must give.
#include <filesystem>
#include <set>
#include <sstream>

#include "opspilot/rank/catboost.hpp"
#include "opspilot/rank/lightgbm.hpp"
#include "opspilot/rank/tree_file.hpp"
#include "rank_fixtures.hpp"

using namespace opspilot;

namespace {

void check_mutants(const std::string& folder, result<tree_ensemble> (*read)(std::string_view, const tree_limits&)) {
    std::istringstream index(read_rank_fixture("../mutants/" + folder + "/index.txt"));
    std::set<std::string> listed{"index.txt"};
    std::string name, code;
    while (index >> name >> code) {
        INFO(folder << "/" << name);
        listed.insert(name);
        const auto model = read(read_rank_fixture("../mutants/" + folder + "/" + name), {});
        CHECK((model ? "ok" : std::string(model.error().code)) == code);
        if (model) continue;
        CHECK(model.error().kind == (code.starts_with("model.limit_") ? error_kind::limit : error_kind::model));
        CHECK_FALSE(model.error().message.empty());
    }
    for (const auto& file : std::filesystem::directory_iterator(std::string(OPSPILOT_TEST_DATA) + "/rank/mutants/" + folder))
        CHECK(listed.count(file.path().filename().string()) == 1);
}

}  // namespace

TEST_CASE("every fault of a CatBoost file has its error") { check_mutants("catboost", &read_catboost); }

TEST_CASE("every fault of a LightGBM file has its error") { check_mutants("lightgbm", &read_lightgbm); }

TEST_CASE("every fault of a tree file has its error") { check_mutants("trees", &read_tree_file); }
