# Everything outside the decision itself comes from well-kept libraries. Installed packages first; OPSPILOT_FETCH=ON downloads
# pinned releases of those that build with CMake, for machines without them. Nothing here appears in a public header.
find_package(PkgConfig QUIET)
include(FetchContent)

set(opspilot_source_fmt https://github.com/fmtlib/fmt.git 9.1.0)
set(opspilot_source_nlohmann_json https://github.com/nlohmann/json.git v3.11.2)
set(opspilot_source_simdjson https://github.com/simdjson/simdjson.git v3.0.1)
set(opspilot_source_xsimd https://github.com/xtensor-stack/xsimd.git 8.1.0)
set(opspilot_source_Eigen3 https://gitlab.com/libeigen/eigen.git 3.4.0)

# Downloads and adds one of the packages above, or says how to get it.
macro(opspilot_fetch name)
  if(NOT OPSPILOT_FETCH OR NOT DEFINED opspilot_source_${name})
    message(FATAL_ERROR "${name} is not installed. Install it (scripts/apt-packages.txt names Debian's packages), or, for fmt, "
      "nlohmann_json, simdjson, xsimd and Eigen3, configure with -DOPSPILOT_FETCH=ON.")
  endif()
  list(GET opspilot_source_${name} 0 opspilot_url)
  list(GET opspilot_source_${name} 1 opspilot_tag)
  FetchContent_Declare(${name} GIT_REPOSITORY ${opspilot_url} GIT_TAG ${opspilot_tag} GIT_SHALLOW ON)
  FetchContent_MakeAvailable(${name})
endmacro()

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
set(opspilot_modules libxxhash libsodium re2 libutf8proc)
foreach(module ${opspilot_modules})
  if(NOT PkgConfig_FOUND)
    message(FATAL_ERROR "pkg-config is needed to find ${module}")
  endif()
  pkg_check_modules(${module} REQUIRED IMPORTED_TARGET ${module})
endforeach()

# libsodium's SHA-256 is portable C; libcrypto's uses the processor's SHA instructions, which a bundle's load shows. Wanted, not
# needed: both give the same digests.
option(OPSPILOT_LIBCRYPTO "SHA-256 of long inputs by OpenSSL's libcrypto where it is installed" ON)
if(OPSPILOT_LIBCRYPTO)
  pkg_check_modules(libcrypto QUIET IMPORTED_TARGET libcrypto>=3)
  if(libcrypto_FOUND)
    list(APPEND opspilot_modules libcrypto)
  endif()
endif()

# Header-only use of xsimd: Debian's exported target also asks for xtl, which only its complex numbers need.
get_target_property(xsimd_include xsimd INTERFACE_INCLUDE_DIRECTORIES)

add_library(opspilot_dependencies INTERFACE)
target_include_directories(opspilot_dependencies SYSTEM INTERFACE $<BUILD_INTERFACE:${xsimd_include}>)
target_link_libraries(opspilot_dependencies INTERFACE fmt::fmt nlohmann_json::nlohmann_json simdjson::simdjson Eigen3::Eigen
  Boost::headers)
foreach(module ${opspilot_modules})
  target_link_libraries(opspilot_dependencies INTERFACE PkgConfig::${module})
endforeach()
if(TARGET PkgConfig::libcrypto)
  target_compile_definitions(opspilot_dependencies INTERFACE OPSPILOT_LIBCRYPTO=1)
endif()
