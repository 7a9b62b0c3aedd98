# Installation: both targets as a CMake package (find_package(opspilot)), and pkg-config files for everybody else.
# tests/install builds a small project against each of these doors.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/opspilot)
set_target_properties(opspilot_header_only PROPERTIES EXPORT_NAME header_only)
set_target_properties(opspilot_options PROPERTIES EXPORT_NAME options)
set_target_properties(opspilot_dependencies PROPERTIES EXPORT_NAME dependencies)

set(installed_targets opspilot opspilot_header_only opspilot_options opspilot_dependencies)
foreach(extra opspilot_c)  # the C surface, where it is built
  if(TARGET ${extra})
    list(APPEND installed_targets ${extra})
  endif()
endforeach()
install(TARGETS ${installed_targets} EXPORT opspilotTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT development
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/opspilot DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
if(EXISTS ${PROJECT_SOURCE_DIR}/capi/include)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/capi/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
endif()
install(EXPORT opspilotTargets NAMESPACE opspilot:: DESTINATION ${package_dir} COMPONENT development)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/opspilotConfig.cmake.in ${PROJECT_BINARY_DIR}/opspilotConfig.cmake
  INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor release may change what a consumer compiles against.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/opspilotConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/opspilotConfig.cmake ${PROJECT_BINARY_DIR}/opspilotConfigVersion.cmake
  DESTINATION ${package_dir} COMPONENT development)

# A static archive needs its libraries on every link line, a shared one has them already.
list(JOIN opspilot_modules ", " pc_libraries)
string(PREPEND pc_libraries "fmt, simdjson, ")
set(pc_header_only_flags "")
if(TARGET PkgConfig::libcrypto)
  set(pc_header_only_flags "-DOPSPILOT_LIBCRYPTO=1")
endif()
if(BUILD_SHARED_LIBS)
  set(pc_requires "")
  set(pc_requires_private "${pc_libraries}")
else()
  set(pc_requires "${pc_libraries}")
  set(pc_requires_private "")
endif()
set(pc_header_only_requires "${pc_libraries}, nlohmann_json, eigen3")
file(RELATIVE_PATH pc_prefix "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
foreach(name opspilot opspilot-header-only)
  configure_file(${CMAKE_CURRENT_LIST_DIR}/${name}.pc.in ${PROJECT_BINARY_DIR}/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
endforeach()
