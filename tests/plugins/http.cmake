# Tests of the HTTP carrier and its codecs; included by CMakeLists.txt.
if(TARGET umbel_http_carrier)
  umbel_test(test_http_carrier test_http_carrier.c LINK plugin_test umbel_http_carrier LABELS plugin)
  # The plugin's own sources, so that sanitizers see into them.
  umbel_test(test_http_wxapp test_http_wxapp.c LINK plugin_test umbel_http_carrier LABELS plugin)
  target_sources(test_http_wxapp PRIVATE ${CMAKE_SOURCE_DIR}/plugins/http-chunked-wxapp/wxapp_mini.c
                 ${CMAKE_SOURCE_DIR}/plugins/http-chunked-wxapp/wxapp_h5.c)
endif()
