# Everything outside the decision itself comes from well-kept libraries. Installed packages first; OPSPILOT_FETCH=ON downloads
# pinned releases for machines without them. Nothing here appears in a public header.
find_package(PkgConfig QUIET)
include(FetchContent)

function(opspilot_fetch name url hash)
  if(NOT OPSPILOT_FETCH)
    message(FATAL_ERROR "${name} is not installed. Install it (see CONTRIBUTING.md) or configure with -DOPSPILOT_FETCH=ON.")
  endif()
  FetchContent_Declare(${name} URL ${url} URL_HASH SHA256=${hash})
  FetchContent_MakeAvailable(${name})
endfunction()

find_package(fmt QUIET CONFIG)
find_package(nlohmann_json QUIET CONFIG)
find_package(simdjson QUIET CONFIG)
find_package(xsimd QUIET CONFIG)
find_package(Eigen3 QUIET CONFIG)
find_package(Boost QUIET)
foreach(package fmt nlohmann_json simdjson xsimd Eigen3 Boost)
  if(NOT ${package}_FOUND)
    opspilot_fetch(${package})
  endif()
endforeach()

# Packages that ship pkg-config files only.
foreach(module libxxhash libsodium re2 libutf8proc)
  if(NOT PkgConfig_FOUND)
    message(FATAL_ERROR "pkg-config is needed to find ${module}")
  endif()
  pkg_check_modules(${module} REQUIRED IMPORTED_TARGET ${module})
endforeach()

# Header-only use of xsimd: Debian's exported target also asks for xtl, which only its complex numbers need.
get_target_property(xsimd_include xsimd INTERFACE_INCLUDE_DIRECTORIES)

add_library(opspilot_dependencies INTERFACE)
target_include_directories(opspilot_dependencies SYSTEM INTERFACE $<BUILD_INTERFACE:${xsimd_include}>)
target_link_libraries(opspilot_dependencies INTERFACE fmt::fmt nlohmann_json::nlohmann_json simdjson::simdjson Eigen3::Eigen
  Boost::headers PkgConfig::libxxhash PkgConfig::libsodium PkgConfig::re2 PkgConfig::libutf8proc)
